// Names that say nothing: HMAC-SHA256 (RFC 2104, FIPS 180-4) of a text under a salt that never
// leaves the device. Who has the hash but not the salt can neither read the text nor try guesses at
// it. Thread-safe. Held by tests/router/internal/small_parts_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_SALTED_HASH_H_
#define NEARFAR_ROUTER_INTERNAL_SALTED_HASH_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace nearfar::internal {

// 32 random bytes, in hexadecimal. Errors: Internal (the system gives none).
absl::StatusOr<std::string> NewSalt();

// 64 hexadecimal digits. `purpose` keeps the hashes of one text for different uses apart; it holds
// no zero byte.
std::string SaltedHash(std::string_view salt, std::string_view purpose, std::string_view text);

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_SALTED_HASH_H_
