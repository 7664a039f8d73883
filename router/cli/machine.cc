// Of the kernel's documentation: power/powercap/powercap.rst (intel-rapl:N, energy_uj,
// max_energy_range_uj; AMD's packages have the same names) and hwmon/amd_energy.rst (energyN_label
// "EsocketN", energyN_input in microjoules).

#include "router/cli/machine.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "router/signals/sys_file.h"

namespace nearfar::cli {
namespace {

using internal::ListFolder;
using internal::ReadNumber;
using internal::ReadSmallFile;

// A domain as a whole: those within it have a second number, "intel-rapl:0:1".
bool IsWholeDomain(absl::string_view name) {
  int number = 0;
  return absl::ConsumePrefix(&name, "intel-rapl:") && absl::SimpleAtoi(name, &number);
}

bool StartsWith(const std::optional<std::string>& text, absl::string_view prefix) {
  return text.has_value() && absl::StartsWith(*text, prefix);
}

}  // namespace

std::optional<std::string> CpuName(const std::string& root) {
  const std::optional<std::string> text = ReadSmallFile(root + "/proc/cpuinfo");
  if (!text.has_value()) return std::nullopt;
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    const std::pair<absl::string_view, absl::string_view> field =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (absl::StripAsciiWhitespace(field.first) != "model name") continue;
    return std::string(absl::StripAsciiWhitespace(field.second));
  }
  return std::nullopt;
}

EnergyCounter::EnergyCounter(const std::string& root) {
  AddRapl(root + "/sys/class/powercap");
  if (domains_.empty()) AddHwmon(root + "/sys/class/hwmon");
}

void EnergyCounter::AddRapl(const std::string& powercap) {
  for (const std::string& name : ListFolder(powercap)) {
    const std::string folder = absl::StrCat(powercap, "/", name);
    if (!IsWholeDomain(name) || !StartsWith(ReadSmallFile(folder + "/name"), "package")) continue;
    Add(folder + "/energy_uj", ReadNumber(folder + "/max_energy_range_uj").value_or(0));
  }
}

void EnergyCounter::AddHwmon(const std::string& hwmon) {
  for (const std::string& device : ListFolder(hwmon)) {
    const std::string folder = absl::StrCat(hwmon, "/", device);
    for (const std::string& file : ListFolder(folder)) {
      absl::string_view sensor = file;
      if (!absl::ConsumeSuffix(&sensor, "_label") || !absl::StartsWith(sensor, "energy")) continue;
      if (!StartsWith(ReadSmallFile(absl::StrCat(folder, "/", file)), "Esocket")) continue;
      Add(absl::StrCat(folder, "/", sensor, "_input"), 0);
    }
  }
}

void EnergyCounter::Add(const std::string& path, int64_t range) {
  const std::optional<int64_t> now = ReadNumber(path);
  if (now.has_value()) domains_.push_back({path, range, *now});
}

std::optional<double> EnergyCounter::Joules() {
  constexpr double kMicrojoules = 1e6;
  if (domains_.empty()) return std::nullopt;
  for (Domain& domain : domains_) {
    const std::optional<int64_t> now = ReadNumber(domain.path);
    if (!now.has_value()) return std::nullopt;
    const int64_t used = *now - domain.last + (*now < domain.last ? domain.range : 0);
    if (used < 0) return std::nullopt;
    joules_ += static_cast<double>(used) / kMicrojoules;
    domain.last = *now;
  }
  return joules_;
}

}  // namespace nearfar::cli
