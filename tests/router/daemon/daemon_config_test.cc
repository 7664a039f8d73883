// The daemon's file: a good one in full, and what is said of bad ones.

#include "router/daemon/daemon_config.h"

#include <fstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/certs.h"
#include "tests/testing/temp_dir.h"

namespace nearfar::daemon {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr char kPolicy[] = "schema_version: 1\nname: test\nchoose: {kind: fixed, route: near}\n";

class DaemonConfigTest : public ::testing::Test {
 protected:
  DaemonConfigTest() {
    Write("policy.yaml", kPolicy);
    Write("model.gguf", "not looked into before the start");
  }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_.File(name)) << text;
  }
  absl::StatusOr<DaemonConfig> Parse(const std::string& text) {
    return ParseDaemonConfig(text, "d.yaml", folder_.path());
  }
  // The message for a file that must not pass.
  std::string Errors(const std::string& text) {
    const auto config = Parse(text);
    EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << text;
    return std::string(config.status().message());
  }

  testing::TempDir folder_;
};

TEST_F(DaemonConfigTest, AShortFileTakesTheDefaults) {
  const auto config = Parse(
      "schema_version: 1\nlisten: [{address: \"127.0.0.1:7443\"}]\npolicy: policy.yaml\n"
      "model: {path: model.gguf}\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->serve_router);
  EXPECT_FALSE(config->serve_inference);
  EXPECT_TRUE(config->packed_cache);
  EXPECT_EQ(config->kv_type, "f16");
  EXPECT_EQ(config->max_tokens_per_second, 0);
  EXPECT_EQ(config->max_temperature, 0);
  EXPECT_EQ(config->policy->name, "test");
  EXPECT_EQ(config->policy_path, folder_.File("policy.yaml"));
  EXPECT_EQ(config->max_active, 64);
  EXPECT_EQ(config->max_request_bytes, 1 << 20);
  EXPECT_EQ(config->default_timeout, absl::Minutes(2));
  EXPECT_EQ(config->max_timeout, absl::Minutes(10));
  EXPECT_EQ(config->drain, absl::Seconds(20));
}

TEST_F(DaemonConfigTest, AFullFileIsReadInFull) {
  const testing::TestCerts certs = testing::MakeTestCerts(folder_.path());
  const auto config = Parse(R"(
schema_version: 1
listen:
  - {address: "unix:/run/nearfar/x.sock"}
  - address: "0.0.0.0:7443"
    tls: {cert_file: server.crt, key_file: server.key, client_ca_file: ca.crt}
  - {address: "[::]:7444", allow_plaintext_network: true}
serve: {router: true, inference: true}
model: {path: model.gguf, threads: 2, context_tokens: 1024, max_sessions: 8, kernels: scalar,
        packed_cache: false, kv_type: q8_0, max_tokens_per_second: 7.5, max_temperature: 80}
policy: policy.yaml
state_dir: state
price: {input_usd_per_mtok: 0.25, output_usd_per_mtok: 1.5}
limits: {max_active: 3, max_request_bytes: 4096, default_timeout: 30s, max_timeout: 1m}
drain_seconds: 2.5
)");
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(config->listen.size(), 3u);
  EXPECT_EQ(config->listen[1].tls->certificate_chain, certs.server_crt);
  EXPECT_EQ(config->listen[1].tls->private_key, certs.server_key);
  EXPECT_EQ(config->listen[1].tls->client_ca, certs.ca);
  EXPECT_FALSE(config->listen[2].tls);
  EXPECT_EQ(config->model_path, folder_.File("model.gguf"));
  EXPECT_EQ(config->threads, 2);
  EXPECT_EQ(config->context_tokens, 1024);
  EXPECT_EQ(config->max_sessions, 8);
  EXPECT_EQ(config->kernels, "scalar");
  EXPECT_FALSE(config->packed_cache);
  EXPECT_EQ(config->kv_type, "q8_0");
  EXPECT_EQ(config->max_tokens_per_second, 7.5);
  EXPECT_EQ(config->max_temperature, 80);
  EXPECT_EQ(config->state_dir, folder_.File("state"));
  EXPECT_EQ(config->input_usd_per_mtok, 0.25);
  EXPECT_EQ(config->output_usd_per_mtok, 1.5);
  EXPECT_EQ(config->max_active, 3);
  EXPECT_EQ(config->max_request_bytes, 4096);
  EXPECT_EQ(config->default_timeout, absl::Seconds(30));
  EXPECT_EQ(config->drain, absl::Seconds(2.5));
}

TEST_F(DaemonConfigTest, PresetsAreFoundByName) {
  const auto config = Parse(
      "schema_version: 1\nlisten: [{address: \"127.0.0.1:0\"}]\npolicy: offline\n"
      "model: {path: model.gguf}\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->policy->name, "offline");
}

TEST_F(DaemonConfigTest, EveryMistakeIsToldAtItsPlaceAndAllAtOnce) {
  const std::string errors = Errors(R"(schema_version: 2
listen:
  - {address: "example.com:7443"}
  - {address: "0.0.0.0:7443"}
  - {address: "127.0.0.1:1", tls: {cert_file: none.crt}}
serve: {router: false}
modle: {path: x}
model: {path: nosuch, max_sessions: 0}
policy: policy.yaml
limits: {max_active: 0, default_timeout: soon, max_timeout: 25h}
price: {input_usd_per_mtok: -1}
drain_seconds: .nan
)");
  for (const char* line :
       {"d.yaml:1:1: schema_version: is 2", "d.yaml:3:6: listen\\[0\\].address: .*IP address",
        "d.yaml:4:[0-9]+: listen\\[1\\].tls.client_ca_file: is missing: 0.0.0.0:7443 is reachable",
        "d.yaml:5:[0-9]+: listen\\[2\\].tls.cert_file: .*none.crt: cannot be read",
        "listen\\[2\\].tls.key_file: is missing", "d.yaml:6:1: serve: serves nothing",
        "d.yaml:7:1: modle: unknown key 'modle' \\(did you mean 'model'", "model.path: .*nosuch",
        "model.max_sessions: is 0, must be within 1 and 256", "d.yaml:9:1: policy: is of no use",
        "limits.max_active: is 0", "limits.default_timeout: 'soon' is not a time",
        "limits.max_timeout: '25h' is not a time", "price.input_usd_per_mtok: is -1",
        "d.yaml:12:[0-9]+: drain_seconds"}) {
    EXPECT_THAT(errors, ContainsRegex(line));
  }
}

TEST_F(DaemonConfigTest, WhatIsMissingIsNamed) {
  EXPECT_THAT(Errors("schema_version: 1\n"), HasSubstr("listen: is missing"));
  EXPECT_THAT(Errors("schema_version: 1\nlisten: [{address: \"127.0.0.1:0\"}]\n"),
              HasSubstr("policy: is missing: the router needs one"));
  EXPECT_THAT(Errors("schema_version: 1\nlisten: [{address: \"127.0.0.1:0\"}]\n"
                     "serve: {router: false, inference: true}\n"),
              HasSubstr("model.path: is missing: the inference service needs a model"));
  EXPECT_THAT(Errors("listen: [{}]\n"), HasSubstr("schema_version: is missing"));
  EXPECT_THAT(Errors("listen: [{}]\n"), HasSubstr("listen[0].address: is missing"));
}

TEST_F(DaemonConfigTest, TheSameAddressTwiceIsAMistake) {
  EXPECT_THAT(Errors("schema_version: 1\npolicy: policy.yaml\n"
                     "listen: [{address: \"127.0.0.1:9\"}, {address: \"127.0.0.1:9\"}]\n"),
              HasSubstr("listen[1].address: stands here a second time"));
}

TEST_F(DaemonConfigTest, AKeyOfAnotherCertificateIsAMistake) {
  testing::MakeTestCerts(folder_.path());
  EXPECT_THAT(Errors("schema_version: 1\npolicy: policy.yaml\nlisten: [{address: \"127.0.0.1:9\", "
                     "tls: {cert_file: server.crt, key_file: client.key}}]\n"),
              HasSubstr("listen[0].tls: the key does not belong to the certificate"));
}

TEST_F(DaemonConfigTest, ThePolicysOwnMistakesAreTold) {
  Write("bad.yaml", "schema_version: 1\nname: bad\nchoose: {kind: dice}\nfar: 7\n");
  const std::string errors =
      Errors("schema_version: 1\nlisten: [{address: \"127.0.0.1:0\"}]\npolicy: bad.yaml\n");
  EXPECT_THAT(errors, HasSubstr("d.yaml:3:1: policy: cannot be used"));
  EXPECT_THAT(errors, HasSubstr("bad.yaml:3:"));
  EXPECT_THAT(errors, HasSubstr("bad.yaml:4:"));
}

TEST_F(DaemonConfigTest, WhatFarTargetsNeedIsLookedForBeforeTheStart) {
  Write("far.yaml", R"(schema_version: 1
name: far
choose: {kind: fixed, route: near}
far:
  - {name: home, target: "dns:///192.0.2.1:1", tls: {ca_file: none.crt}, price: {input_usd_per_mtok: 0, output_usd_per_mtok: 0}}
  - {name: other, target: "unix:/x", api_key: env:NEARFAR_TEST_NO_SUCH_KEY, price: {input_usd_per_mtok: 0, output_usd_per_mtok: 0}}
)");
  const std::string errors =
      Errors("schema_version: 1\nlisten: [{address: \"127.0.0.1:0\"}]\npolicy: far.yaml\n");
  EXPECT_THAT(errors, ContainsRegex("d.yaml:3:1: policy: .*far.yaml cannot be used: .*'home'.*"
                                    "none.crt: cannot be read"));
  EXPECT_THAT(errors, ContainsRegex("'other'.*NEARFAR_TEST_NO_SUCH_KEY is not set"));
}

TEST_F(DaemonConfigTest, SomethingMustBeAbleToAnswer) {
  EXPECT_THAT(
      Errors("schema_version: 1\nlisten: [{address: \"127.0.0.1:0\"}]\npolicy: policy.yaml\n"),
      HasSubstr("model.path: is missing, and "));
}

TEST_F(DaemonConfigTest, KernelsThatAreNotKnownAreAMistake) {
  EXPECT_THAT(
      Errors("schema_version: 1\nlisten: [{address: \"127.0.0.1:0\"}]\n"
             "policy: policy.yaml\nmodel: {path: model.gguf, kernels: mmx}\n"),
      HasSubstr("d.yaml:4:27: model.kernels: kernels option: no kernels are named \"mmx\""));
}

TEST_F(DaemonConfigTest, AKvTypeThatIsNotKnownIsAMistake) {
  EXPECT_THAT(
      Errors("schema_version: 1\nlisten: [{address: \"127.0.0.1:0\"}]\n"
             "policy: policy.yaml\nmodel: {path: model.gguf, kv_type: q4_0}\n"),
      HasSubstr("d.yaml:4:27: model.kv_type: kv_type option: no type is named \"q4_0\" (known:"));
}

TEST_F(DaemonConfigTest, LimitsThatAreNoneAreMistakes) {
  const std::string errors = Errors(
      "schema_version: 1\nlisten: [{address: \"127.0.0.1:0\"}]\npolicy: policy.yaml\n"
      "model: {path: model.gguf, max_tokens_per_second: -1, max_temperature: 200}\n");
  EXPECT_THAT(errors, HasSubstr("model.max_tokens_per_second: is -1, must be within 0 and"));
  EXPECT_THAT(errors, HasSubstr("model.max_temperature: is 200, must be within 0 and 150"));
}

TEST_F(DaemonConfigTest, ThereMustBeAFile) {
  EXPECT_EQ(LoadDaemonConfig(folder_.File("none.yaml")).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(LoadDaemonConfig(folder_.path()).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace nearfar::daemon
