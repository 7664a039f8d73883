// nearfard: the daemon program. docs/daemon.md tells its file, signals and exit codes.

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "router/daemon/daemon.h"
#include "router/daemon/daemon_config.h"
#include "router/daemon/drain.h"
#include "router/daemon/notify.h"
#include "router/daemon/signal_inbox.h"

namespace nearfar::daemon {
namespace {

// After sysexits.h.
constexpr int kExitUsage = 64;
constexpr int kExitData = 65;
constexpr int kExitNoInput = 66;
constexpr int kExitUnavailable = 69;
constexpr int kExitSoftware = 70;
constexpr int kExitNoPermission = 77;
constexpr int kExitConfig = 78;

struct Flags {
  std::string config;
  bool check = false;
  bool version = false;
};

int ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return kExitNoInput;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kDataLoss:
      return kExitData;
    case absl::StatusCode::kPermissionDenied:
      return kExitNoPermission;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kResourceExhausted:
      return kExitUnavailable;
    default:
      return kExitSoftware;
  }
}

void StartLog() {
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "nearfard", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  spdlog::flush_on(spdlog::level::info);
  // gRPC and protobuf would write to stderr by themselves, protobuf with parts of messages.
  gpr_set_log_function([](gpr_log_func_args* line) {
    if (line->severity == GPR_LOG_SEVERITY_ERROR) spdlog::debug("grpc: {}", line->message);
  });
  google::protobuf::SetLogHandler(nullptr);
}

void NotifyReloading() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  NotifyServiceManager(
      absl::StrCat("RELOADING=1\nMONOTONIC_USEC=", now.tv_sec * 1000000 + now.tv_nsec / 1000));
}

void Serve(Daemon* daemon, SignalInbox* inbox, absl::Duration patience) {
  for (const std::string& address : daemon->addresses()) spdlog::info("listening on {}", address);
  spdlog::info("ready");
  NotifyServiceManager("READY=1");
  while (inbox->Wait(absl::InfiniteFuture()) != SignalInbox::Event::kStop) {
    spdlog::info("told to reload");
    NotifyReloading();
    daemon->ReloadPolicy();
    NotifyServiceManager("READY=1");
  }
  NotifyServiceManager("STOPPING=1");
  Drain(daemon, inbox, patience);
  spdlog::info("stopped");
}

int RunDaemon(const Flags& flags) {
  absl::StatusOr<std::unique_ptr<SignalInbox>> inbox = SignalInbox::Open();
  if (!inbox.ok()) {
    std::fprintf(stderr, "nearfard: %s\n", std::string(inbox.status().message()).c_str());
    return kExitSoftware;
  }
  absl::StatusOr<DaemonConfig> config = LoadDaemonConfig(flags.config);
  if (!config.ok()) {
    std::fprintf(stderr, "%s\n", std::string(config.status().message()).c_str());
    return kExitConfig;
  }
  if (flags.check) {
    std::printf("%s: good\n", flags.config.c_str());
    return 0;
  }
  umask(0077);  // sockets, ledger and log are this user's
  StartLog();
  const absl::Duration patience = config->drain;
  absl::StatusOr<std::unique_ptr<Daemon>> daemon = Daemon::Start(*std::move(config));
  if (!daemon.ok()) {
    spdlog::critical("{}", std::string(daemon.status().message()));
    return ExitCodeOf(daemon.status());
  }
  Serve(daemon->get(), inbox->get(), patience);
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app("nearfard answers on this device, or far, as its policy decides; over gRPC.",
               "nearfard");
  app.footer(
      "Example:\n  nearfard --config /etc/nearfar/nearfard.yaml --check && "
      "nearfard --config /etc/nearfar/nearfard.yaml\n\n"
      "Signals: SIGHUP reloads the policy, SIGTERM lets running calls finish and ends.");
  Flags flags;
  app.add_option("--config", flags.config, "The daemon's YAML file")->type_name("FILE");
  app.add_flag("--check", flags.check, "Only check the file, and the policy that it names");
  app.add_flag("--version", flags.version, "Print the version");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    std::fprintf(stderr, "nearfard: %s (see nearfard --help)\n", error.what());
    return kExitUsage;
  }
  if (flags.version) {
    std::printf("nearfard %s\n", NEARFAR_VERSION);
    return 0;
  }
  if (flags.config.empty()) {
    std::fprintf(stderr, "nearfard: --config FILE is missing (see nearfard --help)\n");
    return kExitUsage;
  }
  return RunDaemon(flags);
}

}  // namespace
}  // namespace nearfar::daemon

int main(int argc, char** argv) {
  // Our own code throws nothing; a library that does (no memory, say) ends in one line and a code.
  try {
    return nearfar::daemon::Main(argc, argv);
  } catch (...) {
    std::fputs("nearfard: a library threw an exception; this is a defect, please report it\n",
               stderr);
    return nearfar::daemon::kExitSoftware;
  }
}
