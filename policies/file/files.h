// The files that policies name: found, read, and named beside the policy that names them.
// Held by tests/policies/policy_file_test.cc.

#ifndef NEARFAR_POLICIES_FILE_FILES_H_
#define NEARFAR_POLICIES_FILE_FILES_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace nearfar::policy_file {

// At most `limit` bytes and one more, so that too much is noticed. NotFound: it cannot be read.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t limit);
bool FileExists(const std::string& path);
bool IsAbsolute(const std::string& path);
std::string FolderOf(const std::string& path);  // "" where the name has no folder
// Relative to the policy's folder, so that a daemon's working directory does not matter.
std::string Beside(const std::string& folder, const std::string& path);

}  // namespace nearfar::policy_file

#endif  // NEARFAR_POLICIES_FILE_FILES_H_
