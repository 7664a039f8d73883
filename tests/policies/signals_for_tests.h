// A plain situation that each test changes in one respect: near and one far target can do
// everything.

#ifndef NEARFAR_TESTS_POLICIES_SIGNALS_FOR_TESTS_H_
#define NEARFAR_TESTS_POLICIES_SIGNALS_FOR_TESTS_H_

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include "policies/estimators/draft_features.h"
#include "policies/estimators/prompt_features.h"
#include "policies/policy.h"

namespace nearfar {

inline FarConfig FarNamed(const std::string& name) {
  FarConfig far;
  far.name = name;
  far.target = "unix:/run/" + name;
  far.input_usd_per_mtok = 1;
  far.output_usd_per_mtok = 4;
  return far;
}

// A policy with one far target, "home".
inline PolicyConfig ConfigOf(PolicyKind kind) {
  PolicyConfig config;
  config.far.push_back(FarNamed("home"));
  config.choose.kind = kind;
  return config;
}

// far: 1 USD per million tokens in and 4 out, 0.85 right, 1 s + 30 tokens/s. near: 20 tokens/s.
inline Signals PlainSignals() {
  Signals signals;
  signals.prompt.bytes = 400;
  signals.prompt.tokens = 100;
  signals.prompt.language = "en";
  signals.near.context_tokens = 2048;
  signals.near.prefill_tokens_per_second = 200;
  signals.near.decode_tokens_per_second = 20;
  FarSignals far;
  far.name = "home";
  far.health = Health::kHealthy;
  far.input_usd_per_mtok = 1;
  far.output_usd_per_mtok = 4;
  far.context_tokens = 8192;
  signals.far.push_back(far);
  return signals;
}

inline ModelBinding TestBinding() {
  ModelBinding binding;
  binding.fingerprint = "f00d";
  binding.quantization = "q4";
  binding.template_hash = "t";
  binding.feature_version = kFeatureVersion;
  return binding;
}

// A head that says p, whatever it sees.
inline LogisticHead ConstantHead(double p) {
  LogisticHead head;
  head.bias = std::log(p / (1 - p));
  return head;
}

// The x below which a standard normal variable lies with probability p.
inline double NormalQuantile(double p) {
  double low = -10, high = 10;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < p ? low : high) = middle;
  }
  return low;
}

// A calibration whose heads say these, bound to TestBinding(). `prefix` is P(the finished draft
// will be rejected) under a policy that accepts from P(near right) = 0.5 on.
inline std::shared_ptr<Calibration> CalibrationOf(double prompt_near, double draft, double prefix) {
  auto calibration = std::make_shared<Calibration>();
  calibration->name = "test";
  calibration->binding = TestBinding();
  calibration->prompt_near = ConstantHead(prompt_near);
  calibration->draft = ConstantHead(draft);
  calibration->prefix.emplace().bias = -NormalQuantile(prefix);
  calibration->prefix_deviation = 1;
  calibration->median_tokens = 100;
  calibration->fit.risk = {{0.05, 0.9}, {0.10, 0.8}};
  return calibration;
}

// A draft of `tokens` tokens, with features.
inline DraftSignals DraftOf(int tokens, bool finished) {
  DraftSignals draft;
  draft.tokens = tokens;
  draft.finished = finished;
  draft.max_tokens = 256;
  draft.dense.assign(DraftFeatureNames().size(), 0.0);
  return draft;
}

inline std::shared_ptr<const Policy> MustMake(PolicyConfig config) {
  auto policy = MakePolicy(std::move(config));
  if (!policy.ok()) ADD_FAILURE() << policy.status();
  return policy.ok() ? *policy : nullptr;
}

}  // namespace nearfar

#endif  // NEARFAR_TESTS_POLICIES_SIGNALS_FOR_TESTS_H_
