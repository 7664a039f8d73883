// Finds kinds of personal data and secrets in text, as spelled by policies/text/scan_text.h: e-mail
// addresses, phone numbers, payment cards (Luhn and issuer), IBANs (length by country and mod 97),
// IP addresses, keys and passwords. What the detectors catch and miss is measured on labelled
// strings and stated in docs/privacy.md. Held by tests/policies/detectors/pii_test.cc.

#ifndef NEARFAR_POLICIES_DETECTORS_PII_H_
#define NEARFAR_POLICIES_DETECTORS_PII_H_

#include <optional>
#include <string_view>

#include "policies/signals.h"

namespace nearfar {

// The kinds that occur. Pure; time linear in the text, any bytes.
PiiSet ScanPii(std::string_view text);
// The same of a text that NormalizeForScan has spelled.
PiiSet ScanPlainPii(std::string_view plain);

inline constexpr Pii kAllPii[] = {Pii::kEmail, Pii::kPhone, Pii::kCard,
                                  Pii::kIban,  Pii::kIp,    Pii::kSecret};
const char* PiiName(Pii pii);  // "email", "phone", "card", "iban", "ip", "secret"
std::optional<Pii> PiiByName(std::string_view name);

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_DETECTORS_PII_H_
