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

// A calibration whose heads say these, bound to TestBinding().
inline std::shared_ptr<Calibration> CalibrationOf(double prompt_near, double draft, double prefix) {
  auto calibration = std::make_shared<Calibration>();
  calibration->name = "test";
  calibration->binding = TestBinding();
  calibration->prompt_near = ConstantHead(prompt_near);
  calibration->draft = ConstantHead(draft);
  calibration->prefix = ConstantHead(prefix);
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
