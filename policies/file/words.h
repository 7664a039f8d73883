// Words, lengths of time and versions as policy files write them. Held by
// tests/policies/policy_file_test.cc.

#ifndef NEARFAR_POLICIES_FILE_WORDS_H_
#define NEARFAR_POLICIES_FILE_WORDS_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "policies/signals.h"
#include "policies/yaml_bridge.h"

namespace nearfar::policy_file {

template <typename T>
using Words = std::vector<std::pair<const char*, T>>;

// The word's meaning, or an error that lists the words.
template <typename T>
std::optional<T> Meaning(const std::string& word, const Words<T>& words, const std::string& field,
                         YamlReading* reading) {
  for (const auto& [name, value] : words) {
    if (word == name) return value;
  }
  reading->AddError(field, absl::StrCat("'", word, "' is not known (write one of ",
                                        absl::StrJoin(words, ", ",
                                                      [](std::string* out, const auto& entry) {
                                                        absl::StrAppend(out, entry.first);
                                                      }),
                                        ")"));
  return std::nullopt;
}

const Words<Route>& AllRoutes();
const Words<Route>& AnsweringRoutes();  // all but refuse

// "90s", "1h30m", "7d", "2w"; empty = it is none.
std::optional<absl::Duration> ParseLength(const std::string& text);

// What this build reads and writes. CheckSchemaVersion adds an error where a file's is another or
// is missing.
inline constexpr int kSchemaVersion = 1;
void CheckSchemaVersion(bool present, int version, YamlReading* reading);

}  // namespace nearfar::policy_file

#endif  // NEARFAR_POLICIES_FILE_WORDS_H_
