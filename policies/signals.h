// Everything that a decision may look at, as plain values. The router fills it (router/signals/), a
// policy reads it; nothing here is computed by a policy, so a decision can be replayed.
//
// Unknown is a value: std::optional is empty where a source is absent, and no policy may take an
// unknown for zero. Immutable once handed to a policy.

#ifndef NEARFAR_POLICIES_SIGNALS_H_
#define NEARFAR_POLICIES_SIGNALS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nearfar {

enum class Route { kNear, kFar, kDraft, kRefuse };
const char* RouteName(Route route);  // "near", "far", "draft", "refuse"

enum class Trust { kOwner, kThirdParty };

// Kinds of personal data that the detectors know (policies/detectors/pii.h).
enum class Pii : uint32_t {
  kEmail = 1u << 0,
  kPhone = 1u << 1,
  kCard = 1u << 2,
  kIban = 1u << 3,
  kIp = 1u << 4,
  kSecret = 1u << 5,  // API keys, private keys, tokens
};
using PiiSet = uint32_t;  // bitwise or of Pii

// What the text detectors found, so that rules can be evaluated again without the text.
struct TextFindings {
  PiiSet pii = 0;
  std::vector<std::string>
      keywords;  // of the policy's rules, those that occur, as the rules spell them
};

// The prompt, as numbers. `dense` follows PromptFeatureNames() of estimators/prompt_features.h;
// `hashed` are buckets of character and word n-grams. Hashes count as prompt text: they are never
// logged unless the policy keeps prompt text.
struct PromptSignals {
  int64_t bytes = 0;               // of the last user turn
  int64_t conversation_bytes = 0;  // of all turns that would cross; bounds the bill. 0 = bytes
  std::optional<int64_t> tokens;   // of the conversation, in the near model's template
  int turns = 1;
  bool needs_json = false;
  bool has_code = false;
  std::string language;  // primary tag, "" = unknown
  std::vector<double> dense;
  std::vector<std::pair<uint32_t, float>> hashed;  // bucket, value
  TextFindings findings;
};

// The draft so far. `dense` follows DraftFeatureNames() of estimators/draft_features.h.
struct DraftSignals {
  bool finished = false;
  int tokens = 0;
  int max_tokens = 0;
  bool hit_limit = false;    // stopped by max_tokens or a full context
  bool released = false;     // some of its text has reached the app
  int64_t bytes = 0;         // of its text; crosses at a handover if it was released
  int doubtful_windows = 0;  // Decision::doubtful_windows of the check before this one
  std::vector<double> dense;
};

enum class ThermalLevel { kCool, kWarm, kHot, kCritical };

struct DeviceSignals {
  std::optional<double> battery;  // [0, 1]
  std::optional<bool> on_battery;
  std::optional<double> temperature_celsius;
  std::optional<ThermalLevel> thermal;
  std::optional<int64_t> free_memory_bytes;
  std::optional<double> cpu_load;  // 1-minute load over cores
};

// What a calibration is bound to (DESIGN: bound calibration).
struct ModelBinding {
  std::string fingerprint;
  std::string quantization;
  std::string template_hash;
  std::string kv_type = "f16";
  std::string sampling = "greedy";  // "greedy" or "sampled"
  std::string adapter;
  int feature_version = 0;
};

struct NearSignals {
  bool available = true;
  std::string model;
  ModelBinding binding;
  int64_t context_tokens = 0;
  std::optional<double> prefill_tokens_per_second;  // measured
  std::optional<double> decode_tokens_per_second;   // measured
  bool json = true;
  // P(near right) by the application's own judge; stands in for the calibration's where set.
  std::optional<double> p_right;
};

enum class Health { kUnknown, kHealthy, kBreakerOpen, kUnreachable };
const char* HealthName(Health health);

struct FarSignals {
  std::string name;
  std::string model;        // what it says it runs, or the policy's word
  std::string fingerprint;  // where it tells one
  Trust trust = Trust::kThirdParty;
  Health health = Health::kUnknown;
  double input_usd_per_mtok = 0;
  double output_usd_per_mtok = 0;
  int64_t context_tokens = 0;
  bool json = true;
  double prior_right = 0.85;  // P(right) where no calibration tells
  double ttft_seconds = 1;    // measured, or the policy's expectation
  double tokens_per_second = 30;
};

struct BudgetSignals {
  std::optional<double> limit_usd;  // absent = no limit
  double spent_usd = 0;             // settled and reserved, in this window
  double pacing_price = 1;  // multiplies prices; >= 1, rises as the budget is eaten too fast

  std::optional<double> remaining_usd() const {
    if (!limit_usd) return std::nullopt;
    return *limit_usd > spent_usd ? *limit_usd - spent_usd : 0.0;
  }
};

// What the request asked for; may only tighten the policy.
struct RequestSignals {
  std::optional<Route> route;  // kNear or kFar
  std::optional<double> max_cost_usd;
  std::optional<double> max_ttft_seconds;
  std::optional<double> min_confidence;
  bool local_only = false;
  int max_tokens = 256;
};

struct Signals {
  PromptSignals prompt;
  std::optional<DraftSignals> draft;  // absent before the draft
  DeviceSignals device;
  NearSignals near;
  std::vector<FarSignals> far;
  BudgetSignals budget;
  RequestSignals request;
  bool tainted = false;      // this session, or this turn, must stay on the device
  std::string bound_target;  // Decision::bound_target of the decision before this one on the turn
  double uniform_draw = 0;   // [0, 1), the one random number that a decision may use
};

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_SIGNALS_H_
