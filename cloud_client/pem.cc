#include "cloud_client/pem.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

namespace nearfar {
namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Bio Open(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
}

Certificate ReadCertificate(const std::string& pem) {
  Certificate certificate(PEM_read_bio_X509(Open(pem).get(), nullptr, nullptr, nullptr),
                          &X509_free);
  ERR_clear_error();
  return certificate;
}

// A daemon has nobody to ask for a passphrase.
int NoPassphrase(char*, int, int, void*) { return 0; }

Key ReadKey(const std::string& pem) {
  Key key(PEM_read_bio_PrivateKey(Open(pem).get(), nullptr, NoPassphrase, nullptr), &EVP_PKEY_free);
  ERR_clear_error();
  return key;
}

}  // namespace

absl::Status CheckCertificates(const std::string& pem) {
  if (ReadCertificate(pem)) return absl::OkStatus();
  return absl::InvalidArgumentError("holds no PEM certificate");
}

absl::Status CheckKeyPair(const std::string& chain_pem, const std::string& key_pem) {
  const Certificate certificate = ReadCertificate(chain_pem);
  if (!certificate) return absl::InvalidArgumentError("the certificate is not PEM");
  const Key key = ReadKey(key_pem);
  if (!key) return absl::InvalidArgumentError("the key is not an unencrypted PEM private key");
  const bool belongs = X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (!belongs) return absl::InvalidArgumentError("the key does not belong to the certificate");
  if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0) {
    return absl::InvalidArgumentError("the certificate has expired");
  }
  if (X509_cmp_current_time(X509_get0_notBefore(certificate.get())) > 0) {
    return absl::InvalidArgumentError("the certificate is not valid yet (is the clock right?)");
  }
  return absl::OkStatus();
}

}  // namespace nearfar
