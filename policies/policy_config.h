// A policy as plain values: what policies/policy_file.h reads from YAML and what an application may
// fill by hand. The file's schema and defaults are those of proto/nearfar/v1/policy.proto.

#ifndef NEARFAR_POLICIES_POLICY_CONFIG_H_
#define NEARFAR_POLICIES_POLICY_CONFIG_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "policies/decision.h"
#include "policies/estimators/calibration.h"
#include "policies/signals.h"

namespace nearfar {

// One condition of a rule; exactly one kind is set (checked by policy_file and by MakePolicy).
struct RuleCondition {
  enum class Kind { kAny, kAll, kNot, kKeyword, kPii, kSignal, kNeedsJson, kLanguage, kOffline };
  Kind kind = Kind::kAll;
  std::vector<RuleCondition> children;  // of any, all, not
  std::vector<std::string> words;       // keywords, or language tags
  PiiSet pii = 0;
  std::string signal;  // a name of SignalNames() (policies/rules.h)
  std::optional<double> above;
  std::optional<double> below;
  bool wanted = true;  // of needs_json, offline
};

struct RuleConfig {
  std::string name;
  RuleCondition when;
  std::optional<Route> route;  // absent = only taints
  std::string target;
  Taint taint = Taint::kNone;
};

struct TlsConfig {
  std::string ca_file, cert_file, key_file, server_name;
};

struct FarConfig {
  std::string name;
  std::string protocol = "nearfar";
  std::string target;
  std::optional<TlsConfig> tls;
  bool allow_plaintext = false;
  std::string model;
  // USD per million tokens. Absent counts as 0, which a budget with a limit does not accept: there
  // 0 must be said.
  std::optional<double> input_usd_per_mtok;
  std::optional<double> output_usd_per_mtok;
  Trust trust = Trust::kThirdParty;
  int64_t context_tokens = 4096;
  std::string api_key;  // reference ("env:NAME", "file:PATH"), never the key
  double prior_right = 0.85;
  double expected_ttft_seconds = 1;
  double expected_tokens_per_second = 30;
  bool json = true;
};

enum class PolicyKind { kFixed, kThreshold, kNetValue, kCascade };
enum class WhenSpent { kAnswerNear, kRefuse };
enum class Pacing { kNone, kDual };
enum class Release { kJudged, kConfident, kImmediate };
enum class OnHandover { kAppend, kRetract };
enum class OfflineAnswer { kNearFlagged, kRefuse };

struct PolicyConfig {
  std::string name = "default";
  std::string revision;  // SHA-256 (hex) of the canonical form; filled by policy_file

  struct {
    double right_answer_usd = 0.004;
    double second_usd = 0.0005;
    double joule_usd = 0;
    double device_watts = 4;  // drawn by local inference beyond idle
    double radio_watts = 1;   // drawn while a far answer streams in
  } value;

  struct {
    std::string model;
    std::string calibration_path;
    std::shared_ptr<const Calibration> calibration;  // nullptr = none
    Route when_unknown = Route::kNear;
  } near;

  std::vector<FarConfig> far;

  struct {
    std::optional<double> limit_usd;
    absl::Duration window = absl::Hours(24);
    Pacing pacing = Pacing::kNone;
    WhenSpent when_spent = WhenSpent::kAnswerNear;
    double lease_usd = 0;  // 0 = limit / 20
  } budget;

  std::vector<RuleConfig> rules;

  struct {
    PolicyKind kind = PolicyKind::kFixed;
    Route route = Route::kNear;
    double threshold = 0.5;
    double margin_usd = 0;
  } choose;

  struct {
    int check_every_tokens = 8;
    int hold_back_tokens = 16;
    int min_tokens = 8;
    std::optional<double> min_confidence;
    std::optional<double> max_wrong_accepted;
  } draft;

  struct {
    Release release = Release::kJudged;
    double release_at = 0.9;
    OnHandover on_handover = OnHandover::kAppend;
  } stream;

  OfflineAnswer offline = OfflineAnswer::kNearFlagged;

  struct {
    double battery_floor = 0;
    ThermalLevel thermal_ceiling = ThermalLevel::kCritical;
  } device;

  struct {
    bool prompt_text = false;
    absl::Duration keep = absl::Hours(24 * 30);
  } log;
};

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_POLICY_CONFIG_H_
