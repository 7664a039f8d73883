// SHA-256 (FIPS 180-4) as lower-case hexadecimal; a thin face of libcrypto.
// Held by tests/local_engine/base/sha256_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_BASE_SHA256_H_
#define NEARFAR_LOCAL_ENGINE_BASE_SHA256_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/types/span.h"

namespace nearfar {

// Digest of bytes that come in parts. One caller at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(absl::Span<const uint8_t> bytes);
  void Update(std::string_view text);

  // 64 lower-case hex digits of all that was added; the object starts afresh.
  std::string FinishHex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// Digest of one piece. Thread-safe.
std::string Sha256Hex(absl::Span<const uint8_t> bytes);
std::string Sha256Hex(std::string_view text);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_BASE_SHA256_H_
