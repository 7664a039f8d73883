// The daemon's file as plain, checked values: where it listens, what it serves, with which model
// and policy. Schema and defaults: proto/nearfar/v1/daemon.proto; reference: docs/daemon.md. Held
// by tests/router/daemon/daemon_config_test.cc.

#ifndef NEARFAR_ROUTER_DAEMON_DAEMON_CONFIG_H_
#define NEARFAR_ROUTER_DAEMON_DAEMON_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "policies/policy_config.h"

namespace nearfar::daemon {

struct ListenTls {
  std::string certificate_chain, private_key, client_ca;  // PEM texts
};

struct ListenConfig {
  std::string address;  // as gRPC takes it
  std::optional<ListenTls> tls;
};

struct DaemonConfig {
  std::vector<ListenConfig> listen;
  bool serve_router = true;
  bool serve_inference = false;

  std::string model_path;  // "" = no near side
  int threads = 0;
  int context_tokens = 0;
  int max_sessions = 4;
  std::string kernels;
  std::string kv_type = "f16";
  bool packed_cache = true;
  double max_tokens_per_second = 0;
  double max_temperature = 0;

  std::string policy_path;                       // "" = no router
  std::vector<std::string> policy_search_paths;  // for presets and calibrations
  std::optional<PolicyConfig> policy;            // as it was when the file was read

  std::string state_dir;
  double input_usd_per_mtok = 0;
  double output_usd_per_mtok = 0;

  int max_active = 64;
  int max_request_bytes = 1 << 20;
  absl::Duration default_timeout = absl::Minutes(2);
  absl::Duration max_timeout = absl::Minutes(10);
  absl::Duration drain = absl::Seconds(20);
};

// Reads and checks everything that can be checked without listening or loading the model: keys and
// values, certificates, that the model file is there, that its kernels fit this CPU, and the whole
// policy with the keys and certificates of its far targets.
// Errors: NotFound (the file itself); InvalidArgument with one line a mistake:
// "file:line:col: field: what is wrong (what to do)".
absl::StatusOr<DaemonConfig> LoadDaemonConfig(const std::string& path);
// `name` stands for the file in messages, `folder` is where relative paths start.
absl::StatusOr<DaemonConfig> ParseDaemonConfig(std::string_view text, const std::string& name,
                                               const std::string& folder);

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_DAEMON_CONFIG_H_
