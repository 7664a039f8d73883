// Addresses and certificates are checked before anything is sent. What TLS then does on the wire is
// held by cloud_client_test.

#include "cloud_client/stub/channel.h"

#include "gtest/gtest.h"
#include "tests/testing/certs.h"
#include "tests/testing/temp_dir.h"

namespace nearfar {
namespace {

TEST(ChannelTest, KnowsATargetWhenItSeesOne) {
  for (const char* good : {"dns:///host:7443", "host:1", "unix:/run/x.sock", "unix:///run/x.sock",
                           "ipv4:127.0.0.1:7443", "ipv6:[::1]:7443", "[::1]:7443"}) {
    EXPECT_TRUE(CheckTarget(good).ok()) << good << CheckTarget(good);
  }
  for (const char* bad : {"", "host", "host:", "host:0", "host:65536", "host:http", ":7443",
                          "unix:", "unix:relative", "unix:/", "http://host/path"}) {
    EXPECT_FALSE(CheckTarget(bad).ok()) << bad;
  }
}

TEST(ChannelTest, KnowsWhatIsLocal) {
  EXPECT_TRUE(IsLocalTarget("unix:/run/x"));
  EXPECT_TRUE(IsLocalTarget("dns:///127.0.0.1:1"));
  EXPECT_TRUE(IsLocalTarget("localhost:1"));
  EXPECT_TRUE(IsLocalTarget("ipv6:[::1]:1"));
  EXPECT_FALSE(IsLocalTarget("dns:///192.0.2.1:1"));
  EXPECT_FALSE(IsLocalTarget("dns:///localhost.example:1"));
}

TEST(ChannelTest, CertificatesAndKeysAreLookedAt) {
  testing::TempDir folder;
  const testing::TestCerts certs = testing::MakeTestCerts(folder.path());
  EXPECT_TRUE(CheckTls({}).ok());
  EXPECT_TRUE(CheckTls({certs.ca, certs.client_crt, certs.client_key, ""}).ok());
  EXPECT_FALSE(CheckTls({certs.client_key, "", "", ""}).ok());
  EXPECT_FALSE(CheckTls({certs.ca, certs.client_crt, "", ""}).ok());
  EXPECT_FALSE(CheckTls({certs.ca, "", certs.client_key, ""}).ok());
  EXPECT_FALSE(CheckTls({certs.ca, certs.client_crt, certs.server_key, ""}).ok());
  EXPECT_FALSE(CheckTls({certs.ca, certs.client_crt, "nothing", ""}).ok());
  EXPECT_FALSE(CheckTls({certs.ca, certs.client_key, certs.client_key, ""}).ok());
}

}  // namespace
}  // namespace nearfar
