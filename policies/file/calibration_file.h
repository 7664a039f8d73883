// A calibration from its file, and the message that its file is written from. Held by
// tests/policies/policy_file_test.cc.

#ifndef NEARFAR_POLICIES_FILE_CALIBRATION_FILE_H_
#define NEARFAR_POLICIES_FILE_CALIBRATION_FILE_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "nearfar/v1/calibration.pb.h"
#include "policies/estimators/calibration.h"

namespace nearfar::policy_file {

// Errors: NotFound; InvalidArgument with one line per mistake, in which `name` stands for the file.
absl::StatusOr<Calibration> LoadCalibration(const std::string& path);
absl::StatusOr<Calibration> ParseCalibration(std::string_view text, const std::string& name);
v1::CalibrationFile ToFile(const Calibration& calibration);

}  // namespace nearfar::policy_file

#endif  // NEARFAR_POLICIES_FILE_CALIBRATION_FILE_H_
