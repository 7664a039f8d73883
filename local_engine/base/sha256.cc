// SHA-256 over libcrypto's EVP interface. Held by tests/local_engine/base/sha256_test.cc.

#include "local_engine/base/sha256.h"

#include <openssl/evp.h>

#include <array>
#include <cstdlib>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace nearfar {
namespace {

// libcrypto fails here only without memory, or without its own default provider: nothing a caller
// could act on, and a wrong digest must never come out.
void MustSucceed(int result) {
  if (result != 1) std::abort();
}

}  // namespace

struct Sha256::Context {
  Context() : digest(EVP_MD_CTX_new()) {
    if (digest == nullptr) std::abort();
    Reset();
  }
  ~Context() { EVP_MD_CTX_free(digest); }
  void Reset() { MustSucceed(EVP_DigestInit_ex(digest, EVP_sha256(), nullptr)); }

  EVP_MD_CTX* digest;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;

void Sha256::Update(absl::Span<const uint8_t> bytes) {
  MustSucceed(EVP_DigestUpdate(context_->digest, bytes.data(), bytes.size()));
}

void Sha256::Update(std::string_view text) {
  MustSucceed(EVP_DigestUpdate(context_->digest, text.data(), text.size()));
}

std::string Sha256::FinishHex() {
  std::array<unsigned char, 32> raw;
  MustSucceed(EVP_DigestFinal_ex(context_->digest, raw.data(), nullptr));
  context_->Reset();
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(raw.data()), raw.size()));
}

std::string Sha256Hex(absl::Span<const uint8_t> bytes) {
  Sha256 digest;
  digest.Update(bytes);
  return digest.FinishHex();
}

std::string Sha256Hex(std::string_view text) {
  Sha256 digest;
  digest.Update(text);
  return digest.FinishHex();
}

}  // namespace nearfar
