// A reload keeps the clients that nothing changed for, and no other.

#include "router/far_sides.h"

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/certs.h"
#include "tests/testing/temp_dir.h"

namespace nearfar {
namespace {

class FarSidesTest : public ::testing::Test {
 protected:
  FarSidesTest() {
    static const testing::TempDir made;
    static const testing::TestCerts certs = testing::MakeTestCerts(made.path());
    std::filesystem::copy(certs.folder, folder_.path());
    std::ofstream(folder_.File("key")) << "secret";
    FarConfig far;
    far.name = "home";
    far.target = "dns:///127.0.0.1:1";
    far.api_key = absl::StrCat("file:", folder_.File("key"));
    far.tls = TlsConfig{folder_.File("ca.crt"), folder_.File("client.crt"),
                        folder_.File("client.key"), ""};
    policy_.far = {far};
  }
  FarConfig& home() { return policy_.far[0]; }
  // The client of a reload that follows `before`.
  std::shared_ptr<CloudClient> Next(const FarSides& before) {
    const absl::StatusOr<FarSides> sides = MakeFarSides(policy_, before);
    EXPECT_TRUE(sides.ok()) << sides.status();
    return sides.ok() ? sides->at("home").client : nullptr;
  }

  testing::TempDir folder_;
  PolicyConfig policy_;
};

TEST_F(FarSidesTest, AnUnchangedFarSideKeepsItsClient) {
  const FarSides before = *MakeFarSides(policy_, {});
  const auto client = before.at("home").client;
  EXPECT_EQ(Next(before), client);
  home().prior_right = 0.5;  // what the policy expects is no way to reach it
  EXPECT_EQ(Next(before), client);
  EXPECT_EQ(BackendsOf(before, policy_).size(), 1u);
  home().name = "moved";
  policy_.far.push_back(home());
  policy_.far[0].name = "home";
  EXPECT_EQ(Next(before), client);
}

TEST_F(FarSidesTest, AnyChangeOfTheWayThereMakesANewOne) {
  const FarSides before = *MakeFarSides(policy_, {});
  const auto client = before.at("home").client;
  const FarConfig good = home();
  home().target = "dns:///127.0.0.1:2";
  EXPECT_NE(Next(before), client);
  home() = good;
  home().model = "larger";
  EXPECT_NE(Next(before), client);
  home() = good;
  home().output_usd_per_mtok = 3;
  EXPECT_NE(Next(before), client);
  home() = good;
  home().tls->server_name = "other";
  EXPECT_NE(Next(before), client);
  home() = good;
  home().tls.reset();
  EXPECT_NE(Next(before), client);
  home() = good;
  EXPECT_EQ(Next(before), client);
}

TEST_F(FarSidesTest, TheSamePathsWithOtherBytesMakeANewOne) {
  const FarSides before = *MakeFarSides(policy_, {});
  const auto client = before.at("home").client;
  std::ofstream(folder_.File("key")) << "rotated";
  const auto rekeyed = *MakeFarSides(policy_, before);
  EXPECT_NE(rekeyed.at("home").client, client);
  std::ofstream(folder_.File("ca.crt"), std::ios::app) << "\n";
  EXPECT_NE(Next(rekeyed), rekeyed.at("home").client);
}

TEST_F(FarSidesTest, OneForEachTarget) {
  policy_.far.push_back(home());
  policy_.far[1].name = "other";
  const absl::StatusOr<FarSides> made = MakeFarSides(policy_);
  ASSERT_TRUE(made.ok()) << made.status();
  const auto backends = BackendsOf(*made, policy_);
  EXPECT_EQ(backends.size(), 2u);
  EXPECT_EQ(backends.at("other")->Describe().name, "other");
}

TEST_F(FarSidesTest, WhatNoClientCanBeMadeOfIsNamed) {
  const FarConfig good = home();
  const auto expect_named = [this] {
    const absl::Status status = MakeFarSides(policy_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(status.message()).find("home"), std::string::npos) << status;
  };
  home().protocol = "telepathy";
  expect_named();
  home() = good;
  std::ofstream(folder_.File("ca.crt")) << "no certificate";
  expect_named();
}

TEST_F(FarSidesTest, WhatIsMissingIsNamed) {
  home().tls->ca_file = folder_.File("none.crt");
  const absl::Status status = MakeFarSides(policy_, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(std::string(status.message()).find("none.crt"), std::string::npos);
  EXPECT_NE(std::string(status.message()).find("'home'"), std::string::npos);
}

}  // namespace
}  // namespace nearfar
