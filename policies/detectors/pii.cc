// Each kind has its own small scanner (scanners.h) over the text in its plain spelling; none looks
// further than a bounded number of bytes from where it stands, so the whole is linear. Figures on
// labelled strings: docs/privacy.md.
#include "policies/detectors/pii.h"

#include <string>

#include "policies/detectors/ascii.h"
#include "policies/detectors/scanners.h"
#include "policies/text/scan_text.h"

namespace nearfar {

PiiSet ScanPii(std::string_view text) { return ScanPlainPii(NormalizeForScan(text)); }

PiiSet ScanPlainPii(std::string_view text) {
  const std::string lower = detectors::LowerAscii(text);
  std::string numbers(text);
  PiiSet found = 0;
  const auto add = [&](Pii kind, bool has) { found |= has ? static_cast<PiiSet>(kind) : 0; };
  add(Pii::kIban, detectors::MaskIbans(&numbers));
  found |= detectors::ScanNumbers(numbers, lower);
  add(Pii::kEmail, detectors::HasEmail(text));
  add(Pii::kIp, detectors::HasIpv6(text));
  add(Pii::kSecret, detectors::HasSecret(text, lower));
  return found;
}

const char* PiiName(Pii pii) {
  switch (pii) {
    case Pii::kEmail:
      return "email";
    case Pii::kPhone:
      return "phone";
    case Pii::kCard:
      return "card";
    case Pii::kIban:
      return "iban";
    case Pii::kIp:
      return "ip";
    case Pii::kSecret:
      return "secret";
  }
  return "unknown";
}

std::optional<Pii> PiiByName(std::string_view name) {
  for (Pii pii : kAllPii) {
    if (name == PiiName(pii)) return pii;
  }
  return std::nullopt;
}

}  // namespace nearfar
