// From the file's message to plain values: words to enums, texts to durations, references to files;
// then the checks that every policy passes (check_config.h), with line and column put back.
#include "policies/policy_file.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "nearfar/v1/calibration.pb.h"
#include "nearfar/v1/policy.pb.h"
#include "policies/check_config.h"
#include "policies/detectors/pii.h"
#include "policies/estimators/bound_head.h"
#include "policies/kinds/all_kinds.h"
#include "policies/yaml_bridge.h"

namespace nearfar {
namespace {

constexpr int kSchemaVersion = 1;
constexpr size_t kMaxCalibrationBytes = size_t{16} << 20;

// --- files ---------------------------------------------------------------------------------------

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t limit) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be opened (does it exist?)"));
  std::string text(limit + 1, '\0');  // one more than allowed, so that too much is noticed
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.empty() && !file.eof()) {
    return absl::NotFoundError(absl::StrCat(path, ": is not a file that can be read"));
  }
  return text;
}

bool FileExists(const std::string& path) { return std::ifstream(path).good(); }

// "" where the name has no folder.
std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

bool IsAbsolute(const std::string& path) { return !path.empty() && path[0] == '/'; }

// Relative to the policy's folder, so that a daemon's working directory does not matter.
std::string Beside(const std::string& folder, const std::string& path) {
  if (path.empty() || folder.empty() || IsAbsolute(path)) return path;
  return absl::StrCat(folder, "/", path);
}

std::string Sha256Hex(const std::string& bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), size));
}

// --- words ---------------------------------------------------------------------------------------

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

// "90s", "1h30m", "7d", "2w".
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

// --- the policy ----------------------------------------------------------------------------------

class PolicyReader {
 public:
  PolicyReader(const v1::PolicyFile& file, const std::string& folder,
               const PolicyFileOptions& options, YamlReading* reading)
      : file_(file), folder_(folder), options_(options), reading_(reading) {}

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

  static void CheckSchemaVersion(bool present, int version, YamlReading* reading) {
    if (!present) {
      if (reading->Has("schema_version")) return;  // its type was wrong
      reading->AddError("schema_version",
                        absl::StrCat("is missing (write schema_version: ", kSchemaVersion, ")"));
    } else if (version > kSchemaVersion) {
      reading->AddError(
          "schema_version",
          absl::StrCat("is ", version, "; this nearfar reads version ", kSchemaVersion,
                       " (a nearfar that knows version ", version, " is needed)"));
    } else if (version != kSchemaVersion) {
      reading->AddError(
          "schema_version",
          absl::StrCat("is ", version, "; there is no such version (write ", kSchemaVersion, ")"));
    }
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
      for (const std::string& place : options_.search_paths) {
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
    absl::StatusOr<Calibration> calibration = LoadCalibrationFile(*found);
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
  const PolicyFileOptions& options_;
  YamlReading* const reading_;
  PolicyConfig config_;
};

// --- calibrations --------------------------------------------------------------------------------

class CalibrationReader {
 public:
  CalibrationReader(const v1::CalibrationFile& file, YamlReading* reading)
      : file_(file), reading_(reading) {}

  Calibration Read() {
    PolicyReader::CheckSchemaVersion(file_.has_schema_version(), file_.schema_version(), reading_);
    Calibration calibration;
    calibration.name = file_.name();
    ReadBinding(&calibration.binding);
    if (file_.has_prompt_near()) {
      calibration.prompt_near = ReadHead(file_.prompt_near(), "prompt_near", HeadKind::kPrompt);
    }
    for (int i = 0; i < file_.prompt_far_size() && !reading_->is_full(); ++i) {
      ReadFarHead(i, &calibration);
    }
    if (file_.has_draft()) {
      calibration.draft = ReadHead(file_.draft(), "draft", HeadKind::kDraft);
    }
    if (file_.has_prefix()) {
      calibration.prefix = ReadHead(file_.prefix(), "prefix", HeadKind::kDraft);
    }
    if (file_.has_prefix_deviation()) calibration.prefix_deviation = file_.prefix_deviation();
    if (absl::Status status = calibration.CheckPrefix(); !status.ok()) {
      reading_->AddError("prefix_deviation", std::string(status.message()));
    }
    calibration.median_tokens = AtLeastZero("length.median_tokens", file_.length().median_tokens());
    calibration.p90_tokens = AtLeastZero("length.p90_tokens", file_.length().p90_tokens());
    ReadFit(&calibration);
    return calibration;
  }

 private:
  double AtLeastZero(const char* field, double value) {
    if (value < 0) reading_->AddError(field, absl::StrCat("must be at least 0, it is ", value));
    return value;
  }

  void ReadBinding(ModelBinding* binding) {
    const v1::Binding& file = file_.binding();
    if (!file_.has_binding() && !reading_->Has("binding")) {
      reading_->AddError("binding", "is missing (a calibration belongs to one model file)");
      return;
    }
    if (file.fingerprint().empty() && !reading_->HasErrorAt("binding")) {
      reading_->AddError("binding.fingerprint",
                         "is missing (the near model's, as `nearfar models "
                         "inspect` shows it)");
    }
    binding->fingerprint = file.fingerprint();
    binding->quantization = file.quantization();
    binding->template_hash = file.template_hash();
    if (file.has_kv_type()) binding->kv_type = file.kv_type();
    if (file.has_sampling()) binding->sampling = file.sampling();
    binding->adapter = file.adapter();
    binding->feature_version = file.feature_version();
  }

  LogisticHead ReadHead(const v1::LogisticHead& file, const std::string& at, HeadKind kind) {
    LogisticHead head;
    head.features.assign(file.feature().begin(), file.feature().end());
    head.weights.assign(file.weight().begin(), file.weight().end());
    head.means.assign(file.mean().begin(), file.mean().end());
    head.scales.assign(file.scale().begin(), file.scale().end());
    head.bias = file.bias();
    head.hash_bits = file.hash_bits();
    head.isotonic_x.assign(file.isotonic_x().begin(), file.isotonic_x().end());
    head.isotonic_y.assign(file.isotonic_y().begin(), file.isotonic_y().end());
    if (file.has_platt_a() != file.has_platt_b()) {
      reading_->AddError(at, "needs platt_a and platt_b together (or neither)");
    } else if (file.has_platt_a()) {
      head.platt = {file.platt_a(), file.platt_b()};
    }
    ReadBuckets(file, at, &head);
    if (absl::Status status = CheckHead(head, kind); !status.ok() && !reading_->HasErrorAt(at)) {
      reading_->AddError(at, std::string(status.message()));
    }
    return head;
  }

  void ReadBuckets(const v1::LogisticHead& file, const std::string& at, LogisticHead* head) {
    if (file.bucket_size() != file.bucket_weight_size()) {
      reading_->AddError(at + ".bucket_weight",
                         absl::StrCat("must have one entry a bucket: ", file.bucket_size(),
                                      " buckets, ", file.bucket_weight_size(), " weights"));
      return;
    }
    for (int i = 0; i < file.bucket_size(); ++i) {
      if (head->hashed_weights.emplace(file.bucket(i), file.bucket_weight(i)).second) continue;
      reading_->AddError(absl::StrCat(at, ".bucket[", i, "]"),
                         absl::StrCat(file.bucket(i), " stands here a second time"));
    }
  }

  void ReadFarHead(int i, Calibration* calibration) {
    const v1::TargetHead& file = file_.prompt_far(i);
    const std::string at = absl::StrCat("prompt_far[", i, "]");
    if (file.target_model().empty() && !reading_->HasErrorAt(at)) {
      reading_->AddError(at + ".target_model", "is missing (the far model that it was fitted for)");
    }
    calibration->prompt_far.push_back({file.target_model(), file.target_fingerprint(),
                                       ReadHead(file.head(), at + ".head", HeadKind::kPrompt)});
  }

  void ReadFit(Calibration* calibration) {
    const v1::Fit& file = file_.fit();
    auto& fit = calibration->fit;
    fit.questions = file.questions();
    if (file.has_auroc()) fit.auroc = file.auroc();
    if (file.has_ece()) fit.ece = file.ece();
    if (file.has_brier()) fit.brier = file.brier();
    if (file.has_prompt_auroc()) fit.prompt_auroc = file.prompt_auroc();
    if (file.has_length_only_auroc()) fit.length_only_auroc = file.length_only_auroc();
    fit.command = file.command();
    for (int i = 0; i < file.risk_size(); ++i) {
      const v1::RiskThreshold& risk = file.risk(i);
      if (!(risk.max_wrong_accepted() > 0 && risk.max_wrong_accepted() < 1) ||
          !(risk.min_confidence() >= 0 && risk.min_confidence() <= 1)) {
        reading_->AddError(
            absl::StrCat("fit.risk[", i, "]"),
            "needs max_wrong_accepted between 0 and 1 and min_confidence from 0 to 1");
      }
      fit.risk.emplace_back(risk.max_wrong_accepted(), risk.min_confidence());
    }
  }

  const v1::CalibrationFile& file_;
  YamlReading* const reading_;
};

void CopyHead(const LogisticHead& head, v1::LogisticHead* file) {
  file->mutable_feature()->Add(head.features.begin(), head.features.end());
  file->mutable_weight()->Add(head.weights.begin(), head.weights.end());
  file->mutable_mean()->Add(head.means.begin(), head.means.end());
  file->mutable_scale()->Add(head.scales.begin(), head.scales.end());
  file->set_bias(head.bias);
  if (head.hash_bits != 0) file->set_hash_bits(head.hash_bits);
  std::vector<std::pair<uint32_t, float>> buckets(head.hashed_weights.begin(),
                                                  head.hashed_weights.end());
  std::sort(buckets.begin(), buckets.end());
  for (const auto& [bucket, weight] : buckets) {
    file->add_bucket(bucket);
    file->add_bucket_weight(weight);
  }
  if (head.platt) {
    file->set_platt_a(head.platt->first);
    file->set_platt_b(head.platt->second);
  }
  file->mutable_isotonic_x()->Add(head.isotonic_x.begin(), head.isotonic_x.end());
  file->mutable_isotonic_y()->Add(head.isotonic_y.begin(), head.isotonic_y.end());
}

void CopyFit(const Calibration& calibration, v1::Fit* file) {
  const auto& fit = calibration.fit;
  if (fit.questions != 0) file->set_questions(fit.questions);
  if (fit.auroc) file->set_auroc(*fit.auroc);
  if (fit.ece) file->set_ece(*fit.ece);
  if (fit.brier) file->set_brier(*fit.brier);
  if (fit.prompt_auroc) file->set_prompt_auroc(*fit.prompt_auroc);
  if (fit.length_only_auroc) file->set_length_only_auroc(*fit.length_only_auroc);
  if (!fit.command.empty()) file->set_command(fit.command);
  for (const auto& [bound, confidence] : fit.risk) {
    v1::RiskThreshold* risk = file->add_risk();
    risk->set_max_wrong_accepted(bound);
    risk->set_min_confidence(confidence);
  }
}

v1::CalibrationFile ToFile(const Calibration& calibration) {
  v1::CalibrationFile file;
  file.set_schema_version(kSchemaVersion);
  file.set_name(calibration.name);
  v1::Binding* binding = file.mutable_binding();
  binding->set_fingerprint(calibration.binding.fingerprint);
  binding->set_quantization(calibration.binding.quantization);
  binding->set_template_hash(calibration.binding.template_hash);
  binding->set_kv_type(calibration.binding.kv_type);
  binding->set_sampling(calibration.binding.sampling);
  binding->set_adapter(calibration.binding.adapter);
  binding->set_feature_version(calibration.binding.feature_version);
  if (calibration.prompt_near) CopyHead(*calibration.prompt_near, file.mutable_prompt_near());
  for (const FarHead& far : calibration.prompt_far) {
    v1::TargetHead* head = file.add_prompt_far();
    head->set_target_model(far.target_model);
    head->set_target_fingerprint(far.target_fingerprint);
    CopyHead(far.head, head->mutable_head());
  }
  if (calibration.draft) CopyHead(*calibration.draft, file.mutable_draft());
  if (calibration.prefix) CopyHead(*calibration.prefix, file.mutable_prefix());
  if (calibration.prefix_deviation) file.set_prefix_deviation(*calibration.prefix_deviation);
  if (calibration.median_tokens != 0) {
    file.mutable_length()->set_median_tokens(calibration.median_tokens);
  }
  if (calibration.p90_tokens != 0) file.mutable_length()->set_p90_tokens(calibration.p90_tokens);
  CopyFit(calibration, file.mutable_fit());
  if (file.fit().ByteSizeLong() == 0) file.clear_fit();  // an empty map would not read back
  return file;
}

// --- writing -------------------------------------------------------------------------------------

template <typename T>
std::string Shortest(T value) {
  std::array<char, 40> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return std::string(buffer.data(), result.ptr);
}

std::string QuotedText(const std::string& text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(c));
    } else if (c < 0x20 || c == 0x7F) {
      std::array<char, 5> escape;
      std::snprintf(escape.data(), escape.size(), "\\x%02X", c);
      out.append(escape.data());
    } else {
      out.push_back(static_cast<char>(c));
    }
  }
  return out + "\"";
}

// Writes a message as YAML: block maps, scalars, and flow lists broken into lines.
class YamlWriter {
 public:
  std::string Write(const google::protobuf::Message& message) {
    WriteFields(message, "");
    return std::move(out_);
  }

 private:
  using Field = google::protobuf::FieldDescriptor;

  std::string Scalar(const google::protobuf::Message& message, const Field& field, int index) {
    const auto* r = message.GetReflection();
    const bool list = field.is_repeated();
    switch (field.cpp_type()) {
      case Field::CPPTYPE_DOUBLE:
        return Shortest(list ? r->GetRepeatedDouble(message, &field, index)
                             : r->GetDouble(message, &field));
      case Field::CPPTYPE_FLOAT:
        return Shortest(list ? r->GetRepeatedFloat(message, &field, index)
                             : r->GetFloat(message, &field));
      case Field::CPPTYPE_INT32:
        return absl::StrCat(r->GetInt32(message, &field));
      case Field::CPPTYPE_UINT32:
        return absl::StrCat(r->GetRepeatedUInt32(message, &field, index));
      case Field::CPPTYPE_STRING:
        return QuotedText(list ? r->GetRepeatedString(message, &field, index)
                               : r->GetString(message, &field));
      default:
        return "null";
    }
  }

  void WriteList(const google::protobuf::Message& message, const Field& field,
                 const std::string& indent) {
    std::string line = absl::StrCat(indent, field.name(), ": [");
    const int size = message.GetReflection()->FieldSize(message, &field);
    for (int i = 0; i < size; ++i) {
      const std::string item = absl::StrCat(Scalar(message, field, i), i + 1 < size ? ", " : "");
      if (line.size() + item.size() > 99) {
        absl::StrAppend(&out_, line, "\n");
        line = indent + "  ";
      }
      line += item;
    }
    absl::StrAppend(&out_, line, "]\n");
  }

  void WriteMessageList(const google::protobuf::Message& message, const Field& field,
                        const std::string& indent) {
    const auto* reflection = message.GetReflection();
    absl::StrAppend(&out_, indent, field.name(), ":\n");
    for (int i = 0; i < reflection->FieldSize(message, &field); ++i) {
      // The first key stands behind the dash.
      const size_t start = out_.size();
      WriteFields(reflection->GetRepeatedMessage(message, &field, i), indent + "    ");
      if (out_.size() > start) out_[start + indent.size() + 2] = '-';
    }
  }

  void WriteFields(const google::protobuf::Message& message, const std::string& indent) {
    std::vector<const Field*> fields;
    message.GetReflection()->ListFields(message, &fields);
    for (const Field* field : fields) {
      const bool is_message = field->cpp_type() == Field::CPPTYPE_MESSAGE;
      if (field->is_repeated()) {
        is_message ? WriteMessageList(message, *field, indent) : WriteList(message, *field, indent);
      } else if (is_message) {
        absl::StrAppend(&out_, indent, field->name(), ":\n");
        WriteFields(message.GetReflection()->GetMessage(message, field), indent + "  ");
      } else {
        absl::StrAppend(&out_, indent, field->name(), ": ", Scalar(message, *field, 0), "\n");
      }
    }
  }

  std::string out_;
};

// SHA-256 over what the policy says, whatever its layout, comments or key order, and over what its
// calibration says.
std::string RevisionOf(const v1::PolicyFile& file, const PolicyConfig& config) {
  std::string canonical = file.SerializeAsString();
  if (config.near.calibration != nullptr) {
    absl::StrAppend(&canonical, "\n", ToFile(*config.near.calibration).SerializeAsString());
  }
  return Sha256Hex(canonical);
}

}  // namespace

absl::StatusOr<PolicyConfig> ParsePolicy(std::string_view text, const std::string& name,
                                         const PolicyFileOptions& options) {
  v1::PolicyFile file;
  YamlReading reading = ReadYaml(text, &file);
  PolicyConfig config;
  if (reading.is_map()) config = PolicyReader(file, FolderOf(name), options, &reading).Read();
  if (!reading.errors().empty()) return absl::InvalidArgumentError(reading.Format(name));
  config.revision = RevisionOf(file, config);
  return config;
}

absl::StatusOr<PolicyConfig> LoadPolicyFile(const std::string& path,
                                            const PolicyFileOptions& options) {
  std::string found = path;
  if (!FileExists(found) && path.find('/') == std::string::npos) {
    for (const std::string& place : options.search_paths) {
      for (const std::string& name : {path, path + ".yaml"}) {
        if (found == path && FileExists(Beside(place, name))) found = Beside(place, name);
      }
    }
  }
  absl::StatusOr<std::string> text = ReadFile(found, YamlLimits().bytes + 1);
  if (!text.ok()) return text.status();
  return ParsePolicy(*text, found, options);
}

absl::StatusOr<Calibration> ParseCalibration(std::string_view text, const std::string& name) {
  v1::CalibrationFile file;
  YamlLimits limits;
  limits.bytes = kMaxCalibrationBytes;
  YamlReading reading = ReadYaml(text, &file, limits);
  Calibration calibration;
  if (reading.is_map()) calibration = CalibrationReader(file, &reading).Read();
  if (!reading.errors().empty()) return absl::InvalidArgumentError(reading.Format(name));
  return calibration;
}

absl::StatusOr<Calibration> LoadCalibrationFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, kMaxCalibrationBytes);
  if (!text.ok()) return text.status();
  return ParseCalibration(*text, path);
}

std::string FormatCalibration(const Calibration& calibration) {
  return absl::StrCat(
      "# A calibration of nearfar: estimators fitted on outcomes, valid only for the model in "
      "`binding`.\n# Written by a program; the schema is proto/nearfar/v1/calibration.proto.\n",
      YamlWriter().Write(ToFile(calibration)));
}

}  // namespace nearfar
