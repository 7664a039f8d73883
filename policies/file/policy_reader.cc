#include "policies/file/policy_reader.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "policies/check_config.h"
#include "policies/detectors/pii.h"
#include "policies/file/calibration_file.h"
#include "policies/file/files.h"
#include "policies/file/words.h"
#include "policies/kinds/all_kinds.h"

namespace nearfar::policy_file {
namespace {

class PolicyReader {
 public:
  PolicyReader(const v1::PolicyFile& file, const std::string& folder,
               const std::vector<std::string>& search_paths, YamlReading* reading)
      : file_(file), folder_(folder), search_paths_(search_paths), reading_(reading) {}

  PolicyConfig Read() {
    CheckSchemaVersion(file_.has_schema_version(), file_.schema_version(), reading_);
    if (file_.has_name()) config_.name = file_.name();
    if (file_.has_name() && file_.name().empty()) Error("name", "is empty");
    ReadValue();
    ReadNear();
    for (int i = 0; i < file_.far_size() && !reading_->is_full(); ++i) ReadFar(i);
    ReadBudget();
    for (int i = 0; i < file_.rules_size() && !reading_->is_full(); ++i) ReadRule(i);
    ReadChoose();
    ReadDraft();
    ReadStream();
    ReadRest();
    for (const FieldError& error : CheckPolicyConfig(config_)) {
      // What could not be read was told already; its default must not be blamed.
      if (!reading_->HasErrorOn(error.field)) reading_->AddError(error.field, error.message);
    }
    return std::move(config_);
  }

 private:
  void Error(const std::string& field, std::string message) {
    reading_->AddError(field, std::move(message));
  }

  template <typename T>
  void Word(bool present, const std::string& word, const Words<T>& words, const std::string& field,
            T* out) {
    if (!present) return;
    if (auto value = Meaning(word, words, field, reading_)) *out = *value;
  }

  void Length(bool present, const std::string& text, const std::string& field,
              absl::Duration* out) {
    if (!present) return;
    if (auto length = ParseLength(text)) {
      *out = *length;
    } else {
      Error(field, absl::StrCat("'", text,
                                "' is not a length of time (write it as \"30s\", \"90m\", "
                                "\"24h\" or \"7d\")"));
    }
  }

  void ReadValue() {
    const v1::Value& value = file_.value();
    if (value.has_right_answer_usd()) config_.value.right_answer_usd = value.right_answer_usd();
    if (value.has_second_usd()) config_.value.second_usd = value.second_usd();
    if (value.has_joule_usd()) config_.value.joule_usd = value.joule_usd();
    if (value.has_device_watts()) config_.value.device_watts = value.device_watts();
    if (value.has_radio_watts()) config_.value.radio_watts = value.radio_watts();
  }

  void ReadNear() {
    const v1::Near& near = file_.near();
    config_.near.model = near.model();
    if (near.has_model() && near.model().empty()) Error("near.model", "is empty");
    Word(near.has_when_unknown(), near.when_unknown(), AnsweringRoutes(), "near.when_unknown",
         &config_.near.when_unknown);
    if (near.has_calibration()) ReadCalibration(near.calibration());
  }

  // The first that holds it of the policy's folder, the shipped calibrations where the policy is a
  // preset (package and source tree keep both side by side), and the search paths.
  std::optional<std::string> FindCalibration(const std::string& path) {
    std::vector<std::string> candidates = {Beside(folder_, path)};
    if (!IsAbsolute(path)) {
      candidates.push_back(Beside(folder_, absl::StrCat("../calibrations/", path)));
      for (const std::string& place : search_paths_) {
        candidates.push_back(Beside(place, path));
      }
    }
    for (const std::string& candidate : candidates) {
      if (FileExists(candidate)) return candidate;
    }
    Error("near.calibration",
          absl::StrCat("'", path, "' does not exist (looked for ", absl::StrJoin(candidates, ", "),
                       "; fit one, or remove the line)"));
    return std::nullopt;
  }

  void ReadCalibration(const std::string& path) {
    if (path.empty()) return Error("near.calibration", "is empty (name a file or remove the line)");
    const std::optional<std::string> found = FindCalibration(path);
    if (!found) return;
    absl::StatusOr<Calibration> calibration = LoadCalibration(*found);
    if (!calibration.ok()) {
      Error("near.calibration",
            absl::StrCat("cannot be used: ",
                         absl::StrReplaceAll(calibration.status().message(), {{"\n", "; "}})));
      return;
    }
    config_.near.calibration_path = *found;
    config_.near.calibration = std::make_shared<const Calibration>(*std::move(calibration));
  }

  void ReadFar(int i) {
    const v1::FarTarget& far = file_.far(i);
    FarConfig config;
    config.name = far.name();
    if (far.has_protocol()) config.protocol = far.protocol();
    config.target = far.target();
    if (far.has_tls()) {
      config.tls =
          TlsConfig{Beside(folder_, far.tls().ca_file()), Beside(folder_, far.tls().cert_file()),
                    Beside(folder_, far.tls().key_file()), far.tls().server_name()};
    }
    config.allow_plaintext = far.allow_plaintext();
    config.model = far.model();
    if (far.price().has_input_usd_per_mtok()) {
      config.input_usd_per_mtok = far.price().input_usd_per_mtok();
    }
    if (far.price().has_output_usd_per_mtok()) {
      config.output_usd_per_mtok = far.price().output_usd_per_mtok();
    }
    Word<Trust>(far.has_trust(), far.trust(),
                {{"owner", Trust::kOwner}, {"third_party", Trust::kThirdParty}},
                absl::StrCat("far[", i, "].trust"), &config.trust);
    if (far.has_context_tokens()) config.context_tokens = far.context_tokens();
    config.api_key = far.api_key();
    if (config.api_key.rfind("file:", 0) == 0) {
      config.api_key = "file:" + Beside(folder_, config.api_key.substr(5));
    }
    if (far.has_prior_right()) config.prior_right = far.prior_right();
    if (far.has_expected_ttft_seconds()) {
      config.expected_ttft_seconds = far.expected_ttft_seconds();
    }
    if (far.has_expected_tokens_per_second()) {
      config.expected_tokens_per_second = far.expected_tokens_per_second();
    }
    if (far.has_json()) config.json = far.json();
    config_.far.push_back(std::move(config));
  }

  void ReadBudget() {
    const v1::Budget& budget = file_.budget();
    if (budget.has_limit_usd()) config_.budget.limit_usd = budget.limit_usd();
    Length(budget.has_window(), budget.window(), "budget.window", &config_.budget.window);
    Word<Pacing>(budget.has_pacing(), budget.pacing(),
                 {{"none", Pacing::kNone}, {"dual", Pacing::kDual}}, "budget.pacing",
                 &config_.budget.pacing);
    Word<WhenSpent>(budget.has_when_spent(), budget.when_spent(),
                    {{"answer_near", WhenSpent::kAnswerNear}, {"refuse", WhenSpent::kRefuse}},
                    "budget.when_spent", &config_.budget.when_spent);
    if (budget.has_lease_usd()) config_.budget.lease_usd = budget.lease_usd();
  }

  void ReadRule(int i) {
    const v1::Rule& rule = file_.rules(i);
    const std::string at = absl::StrCat("rules[", i, "]");
    RuleConfig config;
    config.name = rule.name();
    if (rule.has_when()) {
      config.when = ReadCondition(rule.when(), at + ".when");
    } else {
      // Such as `all` without children: check_config would blame the default.
      if (!reading_->Has(at + ".when") && !reading_->HasErrorOn(at + ".when")) {
        Error(at + ".when", "is missing (say when the rule acts)");
      }
      config.when.kind = RuleCondition::Kind::kOffline;
    }
    if (!rule.has_then()) {
      if (!reading_->Has(at + ".then") && !reading_->HasErrorOn(at + ".then")) {
        Error(at + ".then", "is missing (say what the rule does: a route, a taint)");
      }
    } else {
      ReadAction(rule.then(), at + ".then", &config);
    }
    config_.rules.push_back(std::move(config));
  }

  void ReadAction(const v1::Action& action, const std::string& at, RuleConfig* config) {
    if (action.has_route()) {
      config->route = Meaning(action.route(), AllRoutes(), at + ".route", reading_);
    }
    config->target = action.target();
    if (action.has_target() && action.target().empty()) Error(at + ".target", "is empty");
    Word<Taint>(action.has_taint(), action.taint(),
                {{"none", Taint::kNone}, {"turn", Taint::kTurn}, {"session", Taint::kSession}},
                at + ".taint", &config->taint);
  }

  // The keys of a condition that are set, beside above and below.
  static std::vector<const char*> SetKeys(const v1::Condition& condition) {
    std::vector<const char*> keys;
    if (condition.any_size() > 0) keys.push_back("any");
    if (condition.all_size() > 0) keys.push_back("all");
    if (condition.has_not_()) keys.push_back("not");
    if (condition.keyword_size() > 0) keys.push_back("keyword");
    if (condition.pii_size() > 0) keys.push_back("pii");
    if (condition.has_signal()) keys.push_back("signal");
    if (condition.has_needs_json()) keys.push_back("needs_json");
    if (condition.language_size() > 0) keys.push_back("language");
    if (condition.has_offline()) keys.push_back("offline");
    return keys;
  }

  RuleCondition ReadCondition(const v1::Condition& condition, const std::string& at) {
    const std::vector<const char*> keys = SetKeys(condition);
    RuleCondition result;
    result.kind = RuleCondition::Kind::kOffline;  // harmless, where an error was told
    if (keys.size() > 1) {
      Error(at, absl::StrCat("holds ", absl::StrJoin(keys, " and "),
                             " side by side (join them with any: [...] or all: [...])"));
      return result;
    }
    if (!condition.has_signal() && (condition.has_above() || condition.has_below())) {
      Error(at + (condition.has_above() ? ".above" : ".below"), "belongs to signal (name one)");
    }
    if (keys.empty()) {
      if (!reading_->HasErrorAt(at)) {
        Error(at,
              "holds no condition (set one of any, all, not, keyword, pii, signal, needs_json, "
              "language, offline, and list something in it)");
      }
      return result;
    }
    FillCondition(condition, at, &result);
    return result;
  }

  void FillCondition(const v1::Condition& condition, const std::string& at, RuleCondition* result) {
    using Kind = RuleCondition::Kind;
    if (condition.any_size() > 0) {
      result->kind = Kind::kAny;
      for (int i = 0; i < condition.any_size(); ++i) {
        result->children.push_back(
            ReadCondition(condition.any(i), absl::StrCat(at, ".any[", i, "]")));
      }
    } else if (condition.all_size() > 0) {
      result->kind = Kind::kAll;
      for (int i = 0; i < condition.all_size(); ++i) {
        result->children.push_back(
            ReadCondition(condition.all(i), absl::StrCat(at, ".all[", i, "]")));
      }
    } else if (condition.has_not_()) {
      result->kind = Kind::kNot;
      result->children.push_back(ReadCondition(condition.not_(), at + ".not"));
    } else if (condition.keyword_size() > 0) {
      result->kind = Kind::kKeyword;
      result->words.assign(condition.keyword().begin(), condition.keyword().end());
    } else if (condition.pii_size() > 0) {
      ReadPii(condition, at, result);
    } else if (condition.has_signal()) {
      result->kind = Kind::kSignal;
      result->signal = condition.signal();
      if (condition.has_above()) result->above = condition.above();
      if (condition.has_below()) result->below = condition.below();
    } else if (condition.has_needs_json()) {
      result->kind = Kind::kNeedsJson;
      result->wanted = condition.needs_json();
    } else if (condition.language_size() > 0) {
      result->kind = Kind::kLanguage;
      result->words.assign(condition.language().begin(), condition.language().end());
    } else {
      result->kind = Kind::kOffline;
      result->wanted = condition.offline();
    }
  }

  void ReadPii(const v1::Condition& condition, const std::string& at, RuleCondition* result) {
    Words<Pii> words;
    for (Pii pii : kAllPii) words.emplace_back(PiiName(pii), pii);
    result->kind = RuleCondition::Kind::kPii;
    for (int i = 0; i < condition.pii_size(); ++i) {
      const std::string field = absl::StrCat(at, ".pii[", i, "]");
      if (auto pii = Meaning(condition.pii(i), words, field, reading_)) {
        result->pii |= static_cast<PiiSet>(*pii);
      }
    }
  }

  void Belongs(bool present, const char* field, const char* kind, PolicyKind of) {
    if (!present || config_.choose.kind == of || reading_->HasErrorAt("choose.kind")) return;
    Error(absl::StrCat("choose.", field), absl::StrCat("belongs to kind: ", kind));
  }

  void ReadChoose() {
    const v1::Choose& choose = file_.choose();
    Words<PolicyKind> kinds;
    for (const KindEntry& entry : AllKinds()) kinds.emplace_back(entry.name, entry.kind);
    Word(choose.has_kind(), choose.kind(), kinds, "choose.kind", &config_.choose.kind);
    if (file_.has_choose() && !choose.has_kind() && !reading_->HasErrorAt("choose")) {
      Error("choose.kind", "is missing (write fixed, threshold, net_value or cascade)");
    }
    Word(choose.has_route(), choose.route(), AnsweringRoutes(), "choose.route",
         &config_.choose.route);
    if (choose.has_threshold()) config_.choose.threshold = choose.threshold();
    if (choose.has_margin_usd()) config_.choose.margin_usd = choose.margin_usd();
    if (config_.choose.kind == PolicyKind::kThreshold && !choose.has_threshold() &&
        !reading_->HasErrorAt("choose.threshold")) {
      Error("choose.threshold", "is missing (P(near right) from which near answers, as 0.7)");
    }
    Belongs(choose.has_route(), "route", "fixed", PolicyKind::kFixed);
    Belongs(choose.has_threshold(), "threshold", "threshold", PolicyKind::kThreshold);
    Belongs(choose.has_margin_usd(), "margin_usd", "net_value", PolicyKind::kNetValue);
  }

  void ReadDraft() {
    const v1::Draft& draft = file_.draft();
    if (draft.has_check_every_tokens()) {
      config_.draft.check_every_tokens = draft.check_every_tokens();
    }
    if (draft.has_hold_back_tokens()) config_.draft.hold_back_tokens = draft.hold_back_tokens();
    if (draft.has_min_tokens()) config_.draft.min_tokens = draft.min_tokens();
    const v1::Draft::Accept& accept = draft.accept();
    if (accept.has_min_confidence()) config_.draft.min_confidence = accept.min_confidence();
    if (accept.has_max_wrong_accepted()) {
      config_.draft.max_wrong_accepted = accept.max_wrong_accepted();
      // Without the calibration its thresholds are unknown; that error was told.
      if (reading_->HasErrorAt("near.calibration")) config_.draft.max_wrong_accepted.reset();
    }
  }

  void ReadStream() {
    const v1::Stream& stream = file_.stream();
    Word<Release>(stream.has_release(), stream.release(),
                  {{"judged", Release::kJudged},
                   {"confident", Release::kConfident},
                   {"immediate", Release::kImmediate}},
                  "stream.release", &config_.stream.release);
    if (stream.has_release_at()) config_.stream.release_at = stream.release_at();
    Word<OnHandover>(stream.has_on_handover(), stream.on_handover(),
                     {{"append", OnHandover::kAppend}, {"retract", OnHandover::kRetract}},
                     "stream.on_handover", &config_.stream.on_handover);
  }

  void ReadRest() {
    Word<OfflineAnswer>(
        file_.offline().has_answer(), file_.offline().answer(),
        {{"near_flagged", OfflineAnswer::kNearFlagged}, {"refuse", OfflineAnswer::kRefuse}},
        "offline.answer", &config_.offline);
    const v1::Device& device = file_.device();
    if (device.has_battery_floor()) config_.device.battery_floor = device.battery_floor();
    Word<ThermalLevel>(device.has_thermal_ceiling(), device.thermal_ceiling(),
                       {{"warm", ThermalLevel::kWarm},
                        {"hot", ThermalLevel::kHot},
                        {"critical", ThermalLevel::kCritical}},
                       "device.thermal_ceiling", &config_.device.thermal_ceiling);
    config_.log.prompt_text = file_.log().prompt_text();
    Length(file_.log().has_keep(), file_.log().keep(), "log.keep", &config_.log.keep);
  }

  const v1::PolicyFile& file_;
  const std::string folder_;
  const std::vector<std::string>& search_paths_;
  YamlReading* const reading_;
  PolicyConfig config_;
};

}  // namespace

PolicyConfig ReadPolicy(const v1::PolicyFile& file, const std::string& folder,
                        const std::vector<std::string>& search_paths, YamlReading* reading) {
  return PolicyReader(file, folder, search_paths, reading).Read();
}

}  // namespace nearfar::policy_file
