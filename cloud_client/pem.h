// Checks of certificates and keys before a channel or a listener uses them, so that a bad pair is
// an error of the configuration and not of every handshake. Pure but for today's date. Held by
// tests/cloud_client/pem_test.cc.

#ifndef NEARFAR_CLOUD_CLIENT_PEM_H_
#define NEARFAR_CLOUD_CLIENT_PEM_H_

#include <string>

#include "absl/status/status.h"

namespace nearfar {

// The text holds at least one certificate. Errors: InvalidArgument.
absl::Status CheckCertificates(const std::string& pem);
// The first certificate is valid today, and the key belongs to it. Errors: InvalidArgument.
absl::Status CheckKeyPair(const std::string& chain_pem, const std::string& key_pem);

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_PEM_H_
