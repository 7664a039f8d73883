// See salted_hash.h.

#include "router/internal/salted_hash.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "absl/strings/escaping.h"

namespace nearfar::internal {
namespace {

std::string Hex(const unsigned char* bytes, size_t size) {
  return absl::BytesToHexString({reinterpret_cast<const char*>(bytes), size});
}

}  // namespace

absl::StatusOr<std::string> NewSalt() {
  unsigned char bytes[32];
  if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
    return absl::InternalError("the system gives no random bytes for a salt");
  }
  return Hex(bytes, sizeof(bytes));
}

std::string SaltedHash(std::string_view salt, std::string_view purpose, std::string_view text) {
  std::string message(purpose);
  message.push_back('\0');
  message.append(text);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), salt.data(), static_cast<int>(salt.size()),
       reinterpret_cast<const unsigned char*>(message.data()), message.size(), digest, &size);
  return Hex(digest, size);
}

}  // namespace nearfar::internal
