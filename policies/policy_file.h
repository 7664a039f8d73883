// Reads policy and calibration files: YAML (JSON is a subset of it) to the schema of
// proto/nearfar/v1/policy.proto by reflection, strictly, then to plain values.
// Unknown and duplicate keys, anchors, aliases, a second document, NaN, wrong types and values out
// of range are errors, all reported at once as `file:line:col: field.path: what is wrong (what to
// do)`. Held by tests/policies/policy_file_test.cc.

#ifndef NEARFAR_POLICIES_POLICY_FILE_H_
#define NEARFAR_POLICIES_POLICY_FILE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "policies/estimators/calibration.h"
#include "policies/policy_config.h"

namespace nearfar {

struct PolicyFileOptions {
  // Where a relative calibration path and a preset's name are looked for, after the policy file's
  // own folder and, for a calibration, the folder `calibrations` beside that one: a preset needs no
  // search path for its own.
  std::vector<std::string> search_paths;
};

// Errors: NotFound; InvalidArgument with one line per mistake.
absl::StatusOr<PolicyConfig> LoadPolicyFile(const std::string& path,
                                            const PolicyFileOptions& options = {});
// A policy file's text; of one that is too long, as much as ParsePolicy needs to refuse it.
// Errors: NotFound.
absl::StatusOr<std::string> ReadPolicyText(const std::string& path);
// `name` stands in messages for the file.
absl::StatusOr<PolicyConfig> ParsePolicy(std::string_view text, const std::string& name,
                                         const PolicyFileOptions& options = {});

absl::StatusOr<Calibration> LoadCalibrationFile(const std::string& path);
absl::StatusOr<Calibration> ParseCalibration(std::string_view text, const std::string& name);
// The text of a calibration file that ParseCalibration reads back to the same value.
std::string FormatCalibration(const Calibration& calibration);

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_POLICY_FILE_H_
