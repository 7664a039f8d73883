// Certificates for tests of TLS, made by scripts/make_certs.sh, so that the script is tested too.

#ifndef NEARFAR_TESTS_TESTING_CERTS_H_
#define NEARFAR_TESTS_TESTING_CERTS_H_

#include <string>

namespace nearfar::testing {

// A private CA with a server certificate (localhost, 127.0.0.1) and a client certificate.
struct TestCerts {
  std::string folder;  // ca.crt server.crt server.key client.crt client.key
  std::string ca, server_crt, server_key, client_crt, client_key;  // their PEM texts
};

// Runs the script into `folder`. An empty `ca` says that it failed; the test has then failed too.
TestCerts MakeTestCerts(const std::string& folder);

std::string ReadWholeFile(const std::string& path);

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_TESTING_CERTS_H_
