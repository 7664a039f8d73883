// The way in and out: a file's text, its message (policies/yaml_bridge.h), the plain values
// (policies/file/), with line and column put back to what is wrong.
#include "policies/policy_file.h"

#include <openssl/evp.h>

#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "nearfar/v1/policy.pb.h"
#include "policies/file/calibration_file.h"
#include "policies/file/files.h"
#include "policies/file/policy_reader.h"
#include "policies/file/yaml_writer.h"
#include "policies/yaml_bridge.h"

namespace nearfar {
namespace {

std::string Sha256Hex(const std::string& bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), size));
}

// SHA-256 over what the policy says, whatever its layout, comments or key order, and over what its
// calibration says.
std::string RevisionOf(const v1::PolicyFile& file, const PolicyConfig& config) {
  std::string canonical = file.SerializeAsString();
  if (config.near.calibration != nullptr) {
    absl::StrAppend(&canonical, "\n",
                    policy_file::ToFile(*config.near.calibration).SerializeAsString());
  }
  return Sha256Hex(canonical);
}

}  // namespace

absl::StatusOr<PolicyConfig> ParsePolicy(std::string_view text, const std::string& name,
                                         const PolicyFileOptions& options) {
  v1::PolicyFile file;
  YamlReading reading = ReadYaml(text, &file);
  PolicyConfig config;
  if (reading.is_map()) {
    config =
        policy_file::ReadPolicy(file, policy_file::FolderOf(name), options.search_paths, &reading);
  }
  if (!reading.errors().empty()) return absl::InvalidArgumentError(reading.Format(name));
  config.revision = RevisionOf(file, config);
  return config;
}

absl::StatusOr<std::string> ReadPolicyText(const std::string& path) {
  return policy_file::ReadFile(path, YamlLimits().bytes + 1);
}

absl::StatusOr<PolicyConfig> LoadPolicyFile(const std::string& path,
                                            const PolicyFileOptions& options) {
  std::string found = path;
  if (!policy_file::FileExists(found) && path.find('/') == std::string::npos) {
    for (const std::string& place : options.search_paths) {
      for (const std::string& name : {path, path + ".yaml"}) {
        const std::string at = policy_file::Beside(place, name);
        if (found == path && policy_file::FileExists(at)) found = at;
      }
    }
  }
  absl::StatusOr<std::string> text = ReadPolicyText(found);
  if (!text.ok()) return text.status();
  return ParsePolicy(*text, found, options);
}

absl::StatusOr<Calibration> ParseCalibration(std::string_view text, const std::string& name) {
  return policy_file::ParseCalibration(text, name);
}

absl::StatusOr<Calibration> LoadCalibrationFile(const std::string& path) {
  return policy_file::LoadCalibration(path);
}

std::string FormatCalibration(const Calibration& calibration) {
  return absl::StrCat(
      "# A calibration of nearfar: estimators fitted on outcomes, valid only for the model in "
      "`binding`.\n# Written by a program; the schema is proto/nearfar/v1/calibration.proto.\n",
      policy_file::WriteYaml(policy_file::ToFile(calibration)));
}

}  // namespace nearfar
