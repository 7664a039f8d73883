// doctor's checks of the machine: CPU, memory, clock, disk.

#include <sys/statvfs.h>
#include <sys/timex.h>

#include <filesystem>
#include <string>
#include <system_error>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "local_engine/kernels/cpu_features.h"
#include "local_engine/kernels/dispatch.h"
#include "policies/signals.h"
#include "router/cli/checkup.h"
#include "router/cli/model_files.h"
#include "router/cli/paths.h"
#include "router/signals/signal_source.h"

namespace nearfar::cli {
namespace {

constexpr int64_t kMebibyte = 1 << 20;
// Beside the weights: KV cache of a session, activations, the program itself.
constexpr int64_t kRoomBesideModel = 256 * kMebibyte;
constexpr int64_t kLittleDisk = 1024 * kMebibyte;
constexpr int64_t kNoDisk = 64 * kMebibyte;
// No clock that is right shows less: nearfar was not written before.
constexpr int kFirstYear = 2025;

}  // namespace

void CheckCpu(Findings* findings) {
  const std::string features = Describe(ThisCpu());
  const unsigned cores = std::thread::hardware_concurrency();
  const absl::StatusOr<const KernelTable*> chosen = SelectKernels("");
  if (!chosen.ok()) {
    findings->push_back({Verdict::kFail, "cpu", std::string(chosen.status().message()),
                         "unset NEARFAR_KERNELS, or name a table that this CPU can run"});
    return;
  }
  const std::string kernels = (*chosen)->name;
  Finding finding{
      Verdict::kOk, "cpu",
      absl::StrCat(cores, " cores, ", features.empty() ? "no vector features" : features,
                   "; kernels ", kernels),
      ""};
  if (kernels == "scalar" || kernels == "reference") {
    finding.verdict = Verdict::kWarn;
    finding.advice = "answers will be slow: no kernel table for this CPU's vector instructions";
  }
  findings->push_back(finding);
}

void CheckMemory(int64_t model_bytes, Findings* findings) {
  DeviceSignals signals;
  for (const auto& source : AllSignalSources()) source->Read(&signals);
  if (!signals.free_memory_bytes.has_value()) {
    findings->push_back({Verdict::kWarn, "memory", "cannot be read", "is /proc mounted?"});
    return;
  }
  const int64_t free = *signals.free_memory_bytes;
  const std::string detail = absl::StrCat(MebibyteText(free), " available");
  if (free < model_bytes + kRoomBesideModel) {
    findings->push_back({Verdict::kWarn, "memory",
                         absl::StrCat(detail, ", the near model wants about ",
                                      MebibyteText(model_bytes + kRoomBesideModel)),
                         "end other programs, or take a smaller near model"});
    return;
  }
  findings->push_back({Verdict::kOk, "memory", detail, ""});
}

void CheckClock(Findings* findings) {
  const absl::Time now = absl::Now();
  const std::string detail = absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", now, absl::UTCTimeZone());
  if (absl::ToCivilYear(now, absl::UTCTimeZone()).year() < kFirstYear) {
    findings->push_back(
        {Verdict::kFail, "clock", detail, "set it: certificates and budgets go by the clock"});
    return;
  }
  timex state{};
  const int answer = adjtimex(&state);
  const bool kept = answer >= 0 && answer != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
  findings->push_back({Verdict::kOk, "clock",
                       absl::StrCat(detail, kept ? ", kept by NTP" : ", not kept by NTP"), ""});
}

void CheckDisk(const std::string& what, const std::string& folder, Findings* findings) {
  // A folder that is yet to be made lies on its nearest ancestor's disk.
  std::filesystem::path path = folder;
  std::error_code error;
  while (!std::filesystem::exists(path, error) && path.has_relative_path()) {
    path = path.parent_path();
  }
  struct statvfs disk {};
  if (statvfs(path.c_str(), &disk) != 0) {
    findings->push_back({Verdict::kFail, what, absl::StrCat(folder, ": cannot be looked at"),
                         "is the disk mounted?"});
    return;
  }
  const auto free = static_cast<int64_t>(disk.f_bavail) * static_cast<int64_t>(disk.f_frsize);
  const std::string detail = absl::StrCat(MebibyteText(free), " free at ", folder);
  if ((disk.f_flag & ST_RDONLY) != 0 || free < kNoDisk) {
    findings->push_back({Verdict::kFail, what, detail, "make room, or choose another folder"});
  } else if (free < kLittleDisk) {
    findings->push_back({Verdict::kWarn, what, detail, "make room soon"});
  } else {
    findings->push_back({Verdict::kOk, what, detail, ""});
  }
}

bool CheckState(Findings* findings) {
  const absl::Status usable = CheckStateFolder();
  if (usable.ok()) {
    findings->push_back(
        {Verdict::kOk, "state", absl::StrCat(StateFolder(), " can be written"), ""});
  } else {
    findings->push_back({Verdict::kFail, "state", std::string(usable.message()),
                         "without it ask and chat answer nothing"});
  }
  return usable.ok();
}

}  // namespace nearfar::cli
