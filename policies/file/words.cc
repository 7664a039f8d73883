#include "policies/file/words.h"

#include <charconv>
#include <system_error>

namespace nearfar::policy_file {

const Words<Route>& AllRoutes() {
  static const auto* const words = new Words<Route>{{"near", Route::kNear},
                                                    {"far", Route::kFar},
                                                    {"draft", Route::kDraft},
                                                    {"refuse", Route::kRefuse}};
  return *words;
}

const Words<Route>& AnsweringRoutes() {
  static const auto* const words =
      new Words<Route>{{"near", Route::kNear}, {"far", Route::kFar}, {"draft", Route::kDraft}};
  return *words;
}

std::optional<absl::Duration> ParseLength(const std::string& text) {
  absl::Duration total = absl::ZeroDuration();
  const char* at = text.data();
  const char* const end = at + text.size();
  if (at == end) return std::nullopt;
  while (at != end) {
    double count = 0;
    const auto [after, error] = std::from_chars(at, end, count, std::chars_format::fixed);
    if (error != std::errc() || after == end || !(count >= 0 && count <= 1e9)) return std::nullopt;
    switch (*after) {
      case 's':
        total += absl::Seconds(count);
        break;
      case 'm':
        total += absl::Minutes(count);
        break;
      case 'h':
        total += absl::Hours(count);
        break;
      case 'd':
        total += absl::Hours(24 * count);
        break;
      case 'w':
        total += absl::Hours(7 * 24 * count);
        break;
      default:
        return std::nullopt;
    }
    at = after + 1;
  }
  return total;
}

void CheckSchemaVersion(bool present, int version, YamlReading* reading) {
  if (!present) {
    if (reading->Has("schema_version")) return;  // its type was wrong
    reading->AddError("schema_version",
                      absl::StrCat("is missing (write schema_version: ", kSchemaVersion, ")"));
  } else if (version > kSchemaVersion) {
    reading->AddError("schema_version",
                      absl::StrCat("is ", version, "; this nearfar reads version ", kSchemaVersion,
                                   " (a nearfar that knows version ", version, " is needed)"));
  } else if (version != kSchemaVersion) {
    reading->AddError(
        "schema_version",
        absl::StrCat("is ", version, "; there is no such version (write ", kSchemaVersion, ")"));
  }
}

}  // namespace nearfar::policy_file
