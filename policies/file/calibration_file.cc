#include "policies/file/calibration_file.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "policies/estimators/bound_head.h"
#include "policies/file/files.h"
#include "policies/file/words.h"
#include "policies/yaml_bridge.h"

namespace nearfar::policy_file {
namespace {

constexpr size_t kMaxBytes = size_t{16} << 20;

class CalibrationReader {
 public:
  CalibrationReader(const v1::CalibrationFile& file, YamlReading* reading)
      : file_(file), reading_(reading) {}

  Calibration Read() {
    CheckSchemaVersion(file_.has_schema_version(), file_.schema_version(), reading_);
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

}  // namespace

absl::StatusOr<Calibration> ParseCalibration(std::string_view text, const std::string& name) {
  v1::CalibrationFile file;
  YamlLimits limits;
  limits.bytes = kMaxBytes;
  YamlReading reading = ReadYaml(text, &file, limits);
  Calibration calibration;
  if (reading.is_map()) calibration = CalibrationReader(file, &reading).Read();
  if (!reading.errors().empty()) return absl::InvalidArgumentError(reading.Format(name));
  return calibration;
}

absl::StatusOr<Calibration> LoadCalibration(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, kMaxBytes);
  if (!text.ok()) return text.status();
  return ParseCalibration(*text, path);
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

}  // namespace nearfar::policy_file
