// Certificates and keys as operators get them wrong.

#include "cloud_client/pem.h"

#include <cstdlib>

#include "gtest/gtest.h"
#include "tests/testing/certs.h"
#include "tests/testing/temp_dir.h"

namespace nearfar {
namespace {

TEST(PemTest, KnowsACertificate) {
  testing::TempDir folder;
  const testing::TestCerts certs = testing::MakeTestCerts(folder.path());
  EXPECT_TRUE(CheckCertificates(certs.ca).ok());
  EXPECT_FALSE(CheckCertificates(certs.client_key).ok());
  EXPECT_FALSE(CheckCertificates("").ok());
  EXPECT_TRUE(CheckKeyPair(certs.server_crt, certs.server_key).ok());
  EXPECT_FALSE(CheckKeyPair(certs.server_crt, certs.client_key).ok());
  EXPECT_FALSE(CheckKeyPair(certs.server_key, certs.server_key).ok());
  EXPECT_FALSE(CheckKeyPair(certs.server_crt, certs.server_crt).ok());
  EXPECT_FALSE(CheckKeyPair(certs.server_crt.substr(0, 200), certs.server_key).ok());
}

TEST(PemTest, AnExpiredCertificateIsRefused) {
  testing::TempDir folder;
  testing::MakeTestCerts(folder.path());
  const std::string sign = "cd " + folder.path() +
                           " && openssl req -new -key server.key -subj /CN=old -out old.csr"
                           " && openssl x509 -req -in old.csr -CA ca.crt -CAkey ca.key -days -1"
                           " -set_serial 7 -out old.crt 2>/dev/null";
  ASSERT_EQ(std::system(sign.c_str()), 0);
  const absl::Status status = CheckKeyPair(testing::ReadWholeFile(folder.File("old.crt")),
                                           testing::ReadWholeFile(folder.File("server.key")));
  EXPECT_NE(std::string(status.message()).find("expired"), std::string::npos) << status;
}

// What the script promises: a second run changes nothing, and further names go into the
// certificate.
TEST(PemTest, MakeCertsIsIdempotent) {
  testing::TempDir folder;
  const testing::TestCerts first = testing::MakeTestCerts(folder.path());
  const testing::TestCerts again = testing::MakeTestCerts(folder.path());
  EXPECT_EQ(first.ca, again.ca);
  EXPECT_EQ(first.server_crt, again.server_crt);
  EXPECT_EQ(first.client_key, again.client_key);
}

}  // namespace
}  // namespace nearfar
