// From the file's message to plain values: words to enums, texts to durations, references to files;
// then the checks that every policy passes (policies/check_config.h). Held by
// tests/policies/policy_file_test.cc.

#ifndef NEARFAR_POLICIES_FILE_POLICY_READER_H_
#define NEARFAR_POLICIES_FILE_POLICY_READER_H_

#include <string>
#include <vector>

#include "nearfar/v1/policy.pb.h"
#include "policies/policy_config.h"
#include "policies/yaml_bridge.h"

namespace nearfar::policy_file {

// What is wrong is added to `reading`; the result then means nothing. Paths in the file are
// relative to `folder`; a calibration is also looked for in `search_paths`.
PolicyConfig ReadPolicy(const v1::PolicyFile& file, const std::string& folder,
                        const std::vector<std::string>& search_paths, YamlReading* reading);

}  // namespace nearfar::policy_file

#endif  // NEARFAR_POLICIES_FILE_POLICY_READER_H_
