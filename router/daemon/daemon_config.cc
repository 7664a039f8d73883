#include "router/daemon/daemon_config.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cloud_client/pem.h"
#include "local_engine/engine.h"
#include "nearfar/v1/daemon.pb.h"
#include "policies/policy.h"
#include "policies/policy_file.h"
#include "policies/yaml_bridge.h"
#include "router/catalogue.h"
#include "router/daemon/listen_address.h"
#include "router/far_sides.h"

namespace nearfar::daemon {
namespace {

namespace fs = std::filesystem;

constexpr int kSchemaVersion = 1;
constexpr int kMostRequestBytes = 64 << 20;
constexpr double kMostDrainSeconds = 3600;

std::optional<std::string> ReadFile(const std::string& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream) return std::nullopt;
  return text.str();
}

// The environment is read before threads start and never written.
std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string DefaultStateDir() {
  const std::string configured = Environment("NEARFAR_STATE");
  if (!configured.empty()) return configured;
  return absl::StrCat(Environment("HOME"), "/.local/state/nearfar");
}

// Where presets and calibrations lie: beside an installed program, then the source tree that it was
// built from.
std::vector<std::string> SharedFolders() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  std::vector<fs::path> roots;
  if (!error) roots.push_back(program.parent_path().parent_path() / "share" / "nearfar");
  roots.push_back(fs::path(NEARFAR_SOURCE_DIR) / "policies");
  std::vector<std::string> folders;
  for (const fs::path& root : roots) {
    for (const char* kind : {"presets", "calibrations"}) {
      if (fs::is_directory(root / kind, error)) folders.push_back((root / kind).string());
    }
  }
  return folders;
}

class Reader {
 public:
  Reader(const v1::DaemonFile& file, const std::string& folder, YamlReading* reading)
      : file_(file), folder_(folder), reading_(reading) {}

  DaemonConfig Read() {
    ReadVersion();
    ReadListen();
    ReadServe();
    ReadPolicy();
    ReadModel();
    CheckSides();
    ReadPrice();
    ReadLimits();
    config_.state_dir = file_.has_state_dir() ? Beside(file_.state_dir()) : DefaultStateDir();
    return std::move(config_);
  }

 private:
  void Wrong(const std::string& field, const std::string& what) { reading_->AddError(field, what); }

  std::string Beside(const std::string& path) const {
    if (path.empty() || path[0] == '/' || folder_.empty()) return path;
    return absl::StrCat(folder_, "/", path);
  }

  void ReadVersion() {
    if (!file_.has_schema_version()) {
      if (!reading_->HasErrorAt("schema_version")) {
        Wrong("schema_version", "is missing (write schema_version: 1)");
      }
    } else if (file_.schema_version() != kSchemaVersion) {
      Wrong("schema_version",
            absl::StrCat("is ", file_.schema_version(), ", this program reads version ",
                         kSchemaVersion, " (take the program that belongs to the file)"));
    }
  }

  // --- listen ---

  void ReadListen() {
    if (file_.listen_size() == 0 && !reading_->HasErrorAt("listen")) {
      Wrong("listen", "is missing (as listen: [{address: \"127.0.0.1:7443\"}])");
    }
    std::set<std::string> seen;
    for (int i = 0; i < file_.listen_size(); ++i) {
      ReadListener(file_.listen(i), absl::StrCat("listen[", i, "]"), &seen);
    }
  }

  void ReadListener(const v1::DaemonFile::Listen& listen, const std::string& field,
                    std::set<std::string>* seen) {
    ListenConfig out;
    if (listen.has_tls()) out.tls = ReadTls(listen.tls(), absl::StrCat(field, ".tls"));
    if (!listen.has_address()) {
      if (!reading_->HasErrorAt(absl::StrCat(field, ".address"))) {
        Wrong(absl::StrCat(field, ".address"), "is missing (as \"127.0.0.1:7443\")");
      }
      return;
    }
    const absl::StatusOr<ListenAddress> address = ParseListenAddress(listen.address());
    if (!address.ok()) {
      return Wrong(absl::StrCat(field, ".address"), std::string(address.status().message()));
    }
    if (!seen->insert(address->grpc).second && address->port != 0) {
      Wrong(absl::StrCat(field, ".address"), "stands here a second time (keep one)");
    }
    if (!address->local && !listen.allow_plaintext_network() &&
        !listen.tls().has_client_ca_file()) {
      Wrong(absl::StrCat(field, ".tls.client_ca_file"),
            absl::StrCat("is missing: ", listen.address(),
                         " is reachable from the network, so clients must show a certificate (give "
                         "tls with client_ca_file, listen on 127.0.0.1, or set "
                         "allow_plaintext_network: true where something else guards it)"));
    }
    out.address = address->grpc;
    config_.listen.push_back(std::move(out));
  }

  std::string ReadPem(bool given, const std::string& path, const std::string& field, bool needed) {
    if (!given) {
      if (needed && !reading_->HasErrorAt(field)) Wrong(field, "is missing (a PEM file)");
      return "";
    }
    std::optional<std::string> text = ReadFile(Beside(path));
    if (!text) {
      Wrong(field, absl::StrCat(Beside(path), ": cannot be read (does it exist?)"));
      return "";
    }
    return *std::move(text);
  }

  ListenTls ReadTls(const v1::DaemonFile::ListenTls& tls, const std::string& field) {
    const std::string ca_field = absl::StrCat(field, ".client_ca_file");
    ListenTls out;
    out.certificate_chain =
        ReadPem(tls.has_cert_file(), tls.cert_file(), absl::StrCat(field, ".cert_file"), true);
    out.private_key =
        ReadPem(tls.has_key_file(), tls.key_file(), absl::StrCat(field, ".key_file"), true);
    out.client_ca = ReadPem(tls.has_client_ca_file(), tls.client_ca_file(), ca_field, false);
    if (!out.certificate_chain.empty() && !out.private_key.empty()) {
      const absl::Status pair = CheckKeyPair(out.certificate_chain, out.private_key);
      if (!pair.ok()) Wrong(field, std::string(pair.message()));
    }
    if (tls.has_client_ca_file() && !reading_->HasErrorAt(ca_field) &&
        !CheckCertificates(out.client_ca).ok()) {
      Wrong(ca_field, "holds no PEM certificate");
    }
    return out;
  }

  // --- what is served ---

  void ReadServe() {
    config_.serve_router = file_.serve().has_router() ? file_.serve().router() : true;
    config_.serve_inference = file_.serve().inference();
    if (!config_.serve_router && !config_.serve_inference) {
      Wrong("serve", "serves nothing (set router or inference to true)");
    }
  }

  void ReadPolicy() {
    if (!config_.serve_router) {
      if (file_.has_policy())
        Wrong("policy", "is of no use while serve.router is false (remove it)");
      return;
    }
    if (!file_.has_policy()) {
      if (!reading_->HasErrorAt("policy")) {
        Wrong("policy", "is missing: the router needs one (a file, or a preset as balanced)");
      }
      return;
    }
    config_.policy_search_paths = SharedFolders();
    config_.policy_path = FindPolicy(file_.policy());
    absl::StatusOr<PolicyConfig> policy =
        LoadPolicyFile(config_.policy_path, {config_.policy_search_paths});
    if (policy.ok()) {
      config_.policy = *std::move(policy);
      CheckPolicy();
    } else {
      // The policy's own lines name its file; they stand below this one.
      Wrong("policy", absl::StrCat("cannot be used:\n", policy.status().message()));
    }
  }

  // What a policy that is well written still needs before it can act: keys and certificates.
  void CheckPolicy() {
    const auto check = [this](const absl::Status& status) {
      if (status.ok()) return;
      Wrong("policy", absl::StrCat(config_.policy_path, " cannot be used: ", status.message()));
    };
    check(MakePolicy(*config_.policy).status());
    for (const FarConfig& far : config_.policy->far) check(MakeFarSide(far).status());
  }

  // A file beside the daemon's, or else a preset.
  std::string FindPolicy(const std::string& name) const {
    std::error_code error;
    if (fs::is_regular_file(Beside(name), error) || name.find('/') != std::string::npos) {
      return Beside(name);
    }
    for (const std::string& folder : config_.policy_search_paths) {
      const std::string preset = absl::StrCat(folder, "/", name, ".yaml");
      if (fs::path(folder).filename() == "presets" && fs::is_regular_file(preset, error)) {
        return preset;
      }
    }
    return Beside(name);
  }

  // --- the model ---

  void ReadModel() {
    const v1::DaemonFile::Model& model = file_.model();
    std::string name = model.path();
    std::string field = "model.path";
    if (name.empty() && config_.policy) {
      name = config_.policy->near.model;
      field = "policy";
    }
    if (!name.empty()) {
      FindModel(name, field);
    } else if (config_.serve_inference && !reading_->HasErrorAt("model")) {
      Wrong("model.path", "is missing: the inference service needs a model");
    }
    config_.threads = Whole(model.has_threads(), model.threads(), 0, EngineOptions::kMostThreads, 0,
                            "model.threads");
    config_.context_tokens = Whole(model.has_context_tokens(), model.context_tokens(), 0, 1 << 20,
                                   0, "model.context_tokens");
    config_.max_sessions =
        Whole(model.has_max_sessions(), model.max_sessions(), 1, 256, 4, "model.max_sessions");
    config_.kernels = model.kernels();
    config_.packed_cache = !model.has_packed_cache() || model.packed_cache();
    // Also where the environment chooses them.
    const absl::Status kernels = Engine::CheckKernels(config_.kernels);
    if (!kernels.ok()) Wrong("model.kernels", std::string(kernels.message()));
    if (model.has_kv_type()) config_.kv_type = model.kv_type();
    const absl::Status kv_type = Engine::CheckKvType(config_.kv_type);
    if (!kv_type.ok()) Wrong("model.kv_type", std::string(kv_type.message()));
    config_.max_tokens_per_second =
        Amount(model.has_max_tokens_per_second(), model.max_tokens_per_second(),
               EngineOptions::kMostTokensPerSecond, 0, "model.max_tokens_per_second");
    config_.max_temperature = Amount(model.has_max_temperature(), model.max_temperature(),
                                     EngineOptions::kMostCelsius, 0, "model.max_temperature");
  }

  void CheckSides() {
    if (!config_.policy || !config_.model_path.empty() || !config_.policy->far.empty()) return;
    if (reading_->HasErrorAt("model") || reading_->HasErrorAt("policy")) return;
    Wrong("model.path",
          absl::StrCat("is missing, and ", config_.policy_path,
                       " names no far target: nothing could answer (give one of the two)"));
  }

  void FindModel(const std::string& name, const std::string& field) {
    // A path starts at this file's folder; a name does not have one.
    const std::string beside = Beside(name);
    std::error_code error;
    if (fs::is_regular_file(beside, error)) {
      config_.model_path = beside;
      return;
    }
    absl::StatusOr<std::string> found = FindModelFile(name);
    if (found.ok()) {
      config_.model_path = *std::move(found);
    } else {
      Wrong(field, std::string(found.status().message()));
    }
  }

  // --- numbers ---

  template <typename T>
  T Whole(bool given, T value, T least, T most, T otherwise, const std::string& field) {
    if (!given) return otherwise;
    if (value < least || value > most) {
      Wrong(field, absl::StrCat("is ", value, ", must be within ", least, " and ", most));
    }
    return value;
  }

  double Amount(bool given, double value, double most, double otherwise, const std::string& field) {
    if (!given) return otherwise;
    if (!(value >= 0 && value <= most)) {
      Wrong(field, absl::StrCat("is ", value, ", must be within 0 and ", most));
    }
    return value;
  }

  absl::Duration Time(bool given, const std::string& text, absl::Duration otherwise,
                      const std::string& field) {
    absl::Duration value;
    if (!given) return otherwise;
    if (!absl::ParseDuration(text, &value) || value <= absl::ZeroDuration() ||
        value > absl::Hours(24)) {
      Wrong(field,
            absl::StrCat("'", text, "' is not a time up to a day (as \"90s\", \"2m\", \"1h\")"));
      return otherwise;
    }
    return value;
  }

  void ReadPrice() {
    const v1::TargetPrice& price = file_.price();
    config_.input_usd_per_mtok = Amount(price.has_input_usd_per_mtok(), price.input_usd_per_mtok(),
                                        1e6, 0, "price.input_usd_per_mtok");
    config_.output_usd_per_mtok =
        Amount(price.has_output_usd_per_mtok(), price.output_usd_per_mtok(), 1e6, 0,
               "price.output_usd_per_mtok");
  }

  void ReadLimits() {
    const v1::DaemonFile::Limits& limits = file_.limits();
    config_.max_active =
        Whole(limits.has_max_active(), limits.max_active(), 1, 10000, 64, "limits.max_active");
    config_.max_request_bytes = Whole(limits.has_max_request_bytes(), limits.max_request_bytes(),
                                      1024, kMostRequestBytes, 1 << 20, "limits.max_request_bytes");
    config_.default_timeout = Time(limits.has_default_timeout(), limits.default_timeout(),
                                   absl::Minutes(2), "limits.default_timeout");
    config_.max_timeout = Time(limits.has_max_timeout(), limits.max_timeout(), absl::Minutes(10),
                               "limits.max_timeout");
    if (config_.default_timeout > config_.max_timeout) {
      Wrong("limits.default_timeout", "is longer than max_timeout");
    }
    config_.drain = absl::Seconds(Amount(file_.has_drain_seconds(), file_.drain_seconds(),
                                         kMostDrainSeconds, 20, "drain_seconds"));
  }

  const v1::DaemonFile& file_;
  const std::string folder_;
  YamlReading* const reading_;
  DaemonConfig config_;
};

}  // namespace

absl::StatusOr<DaemonConfig> ParseDaemonConfig(std::string_view text, const std::string& name,
                                               const std::string& folder) {
  v1::DaemonFile file;
  YamlReading reading = ReadYaml(text, &file);
  DaemonConfig config;
  if (reading.is_map()) config = Reader(file, folder, &reading).Read();
  if (!reading.errors().empty()) return absl::InvalidArgumentError(reading.Format(name));
  return config;
}

absl::StatusOr<DaemonConfig> LoadDaemonConfig(const std::string& path) {
  const std::optional<std::string> text = ReadFile(path);
  if (!text) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be read (does it exist?)"));
  }
  return ParseDaemonConfig(*text, path, fs::absolute(path).parent_path().string());
}

}  // namespace nearfar::daemon
