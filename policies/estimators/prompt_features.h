// A prompt as numbers: shape features and hashed n-grams. Pure, microseconds for a usual prompt,
// linear time. Held by tests/policies/estimators/prompt_features_test.cc.

#ifndef NEARFAR_POLICIES_ESTIMATORS_PROMPT_FEATURES_H_
#define NEARFAR_POLICIES_ESTIMATORS_PROMPT_FEATURES_H_

#include <string>
#include <string_view>

#include "absl/types/span.h"
#include "policies/signals.h"

namespace nearfar {

// Raised whenever a feature changes its meaning; calibrations are bound to it.
inline constexpr int kFeatureVersion = 1;

// Hashed n-grams fall into 2^kPromptHashBits buckets.
inline constexpr int kPromptHashBits = 16;
// Only the first bytes of a prompt are hashed; the shape features see all of it.
inline constexpr size_t kPromptHashedBytes = 16 * 1024;

// Names of PromptSignals::dense, in order.
absl::Span<const char* const> PromptFeatureNames();

// Fills bytes, dense, hashed, has_code and language from the text of the last user turn; `turns`,
// `needs_json`, `tokens`, `conversation_bytes` and `findings` are the caller's. Hashed values: word
// uni- and bigrams and character 3- to 5-grams within words, 1 + ln(count) each, the whole with L2
// norm 1, in rising order of bucket.
void FillPromptFeatures(std::string_view text, PromptSignals* signals);

// Primary language tag by script and frequent words ("en", "de", "fr", "es", "it", "pt", "nl",
// "ru", "zh", "ja", "ko", "ar", ...), "" where it cannot tell.
std::string GuessLanguage(std::string_view text);
// Every tag that it may give but "", in no order that means anything.
absl::Span<const char* const> KnownLanguages();

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_ESTIMATORS_PROMPT_FEATURES_H_
