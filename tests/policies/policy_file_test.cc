#include "policies/policy_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "policies/policy.h"
#include "tests/policies/signals_for_tests.h"

namespace nearfar {
namespace {

using testing::HasSubstr;

const char kRoot[] = NEARFAR_SOURCE_DIR "/";

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> YamlFilesIn(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// --- bad files -----------------------------------------------------------------------------------

// bad/expected.txt holds every line that the files in bad/ must yield, all errors of a file at
// once. After a change on purpose: policy_file_test --gtest_filter=BadFiles.* prints the new text.
TEST(BadFiles, EveryMistakeIsToldAtItsPlace) {
  const std::string folder = std::string(kRoot) + "tests/policies/bad/";
  std::string actual;
  int files = 0;
  for (const std::string& name : YamlFilesIn(folder)) {
    if (name.find(".calibration.") != std::string::npos) continue;
    const auto config = LoadPolicyFile(folder + name);
    EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << name;
    std::string message(config.status().message());
    for (size_t at; (at = message.find(folder)) != std::string::npos;)
      message.erase(at, folder.size());
    actual += message + "\n";
    ++files;
  }
  EXPECT_GE(files, 30);
  EXPECT_EQ(actual, ReadText(folder + "expected.txt"));
}

// Rules by the thousand, each without anything: the reader stops where no error is kept.
TEST(BadFiles, OfNothingButMistakesEndEarly) {
  std::string text = "schema_version: 1\nrules: [";
  while (text.size() < (size_t{1} << 17)) text += "{},";
  const auto config = ParsePolicy(text + "]", "f");
  const std::string message(config.status().message());
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 1000);
  EXPECT_THAT(message, HasSubstr("there are more mistakes"));
}

// --- presets -------------------------------------------------------------------------------------

TEST(Presets, EachLoadsAndDecides) {
  const std::string folder = std::string(kRoot) + "policies/presets/";
  const std::vector<std::string> names = YamlFilesIn(folder);
  EXPECT_EQ(names, (std::vector<std::string>{"balanced.yaml", "frugal.yaml", "offline.yaml",
                                             "private.yaml", "quality.yaml"}));
  PolicyFileOptions options;
  options.search_paths = {folder, std::string(kRoot) + "policies/calibrations"};
  for (const std::string& file : names) {
    const std::string name = file.substr(0, file.find('.'));
    const auto config = LoadPolicyFile(name, options);  // found by its name alone
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->name, name);
    EXPECT_EQ(config->revision.size(), 64u);
    Signals signals = PlainSignals();
    if (!config->far.empty()) signals.far[0].name = config->far[0].name;
    if (config->far.empty()) signals.far.clear();
    const auto policy = MustMake(*config);
    signals.tainted = true;
    EXPECT_EQ(policy->Choose(signals).route, Route::kNear) << name;
    signals.tainted = false;
    EXPECT_NE(policy->Choose(signals).route, Route::kRefuse) << name;
  }
}

TEST(Presets, ThoseWithFarKeepSecretsHome) {
  const std::string folder = std::string(kRoot) + "policies/presets/";
  for (const std::string& file : YamlFilesIn(folder)) {
    // By its path alone, as an application that embeds the library names it.
    const auto config = LoadPolicyFile(folder + file);
    ASSERT_TRUE(config.ok()) << config.status();
    if (config->far.empty()) continue;
    const auto policy = MustMake(*config);
    Signals signals = PlainSignals();
    for (const char* text :
         {"write to anna@example.org", "my PASSWORD is x", "4111 1111 1111 1111"}) {
      signals.prompt.findings = policy->ScanText(text);
      EXPECT_EQ(policy->TaintOf(signals), Taint::kSession) << file << ": " << text;
    }
  }
}

// --- good files ----------------------------------------------------------------------------------

TEST(ParsePolicy, EveryFieldArrives) {
  const auto config = ParsePolicy(R"(
schema_version: 1
name: all
value: {right_answer_usd: 0.01, second_usd: 0.002, joule_usd: 0.0003, device_watts: 9, radio_watts: 2}
near: {model: m, when_unknown: draft}
far:
  - {name: a, protocol: nearfar, target: "dns:///h:1", tls: {ca_file: ca.pem, cert_file: /c.pem,
     key_file: k.pem, server_name: s}, model: big, price: {input_usd_per_mtok: 1,
     output_usd_per_mtok: 2}, trust: owner, context_tokens: 999, api_key: "file:key",
     prior_right: 0.5, expected_ttft_seconds: 3, expected_tokens_per_second: 4, json: false}
  - {name: b, target: "h:2", allow_plaintext: true, api_key: env:KEY,
     price: {input_usd_per_mtok: 0, output_usd_per_mtok: 0}}
budget: {limit_usd: 5, window: 1d12h, pacing: dual, when_spent: refuse, lease_usd: 0.5}
rules:
  - name: r
    when: {all: [{any: [{keyword: [x]}]}, {not: {pii: [email, ip]}}, {signal: turns, above: 1, below: 9},
                 {needs_json: false}, {language: [de]}, {offline: true}]}
    then: {route: far, target: b, taint: none}
choose: {kind: threshold, threshold: 0.6}
draft: {check_every_tokens: 4, hold_back_tokens: 5, min_tokens: 6, accept: {min_confidence: 0.7}}
stream: {release: immediate, release_at: 0.8, on_handover: retract}
offline: {answer: refuse}
device: {battery_floor: 0.1, thermal_ceiling: warm}
log: {prompt_text: true, keep: 2w}
)",
                                  "/etc/nearfar/p.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->name, "all");
  EXPECT_EQ(config->value.right_answer_usd, 0.01);
  EXPECT_EQ(config->value.second_usd, 0.002);
  EXPECT_EQ(config->value.joule_usd, 0.0003);
  EXPECT_EQ(config->value.device_watts, 9);
  EXPECT_EQ(config->value.radio_watts, 2);
  EXPECT_EQ(config->near.model, "m");
  EXPECT_EQ(config->near.when_unknown, Route::kDraft);
  ASSERT_EQ(config->far.size(), 2u);
  const FarConfig& a = config->far[0];
  EXPECT_EQ(a.target, "dns:///h:1");
  EXPECT_EQ(a.tls->ca_file, "/etc/nearfar/ca.pem");  // relative to the policy
  EXPECT_EQ(a.tls->cert_file, "/c.pem");
  EXPECT_EQ(a.tls->server_name, "s");
  EXPECT_EQ(a.api_key, "file:/etc/nearfar/key");
  EXPECT_EQ(a.model, "big");
  EXPECT_EQ(a.input_usd_per_mtok, 1);
  EXPECT_EQ(a.output_usd_per_mtok, 2);
  EXPECT_EQ(a.trust, Trust::kOwner);
  EXPECT_EQ(a.context_tokens, 999);
  EXPECT_EQ(a.prior_right, 0.5);
  EXPECT_EQ(a.expected_ttft_seconds, 3);
  EXPECT_EQ(a.expected_tokens_per_second, 4);
  EXPECT_FALSE(a.json);
  const FarConfig& b = config->far[1];
  EXPECT_FALSE(b.tls.has_value());
  EXPECT_TRUE(b.allow_plaintext && b.json);
  EXPECT_EQ(b.trust, Trust::kThirdParty);
  EXPECT_EQ(b.api_key, "env:KEY");
  EXPECT_EQ(b.input_usd_per_mtok, std::optional<double>(0));
  EXPECT_EQ(b.output_usd_per_mtok, std::optional<double>(0));
  EXPECT_EQ(config->budget.limit_usd, std::optional<double>(5));
  EXPECT_EQ(config->budget.window, absl::Hours(36));
  EXPECT_EQ(config->budget.pacing, Pacing::kDual);
  EXPECT_EQ(config->budget.when_spent, WhenSpent::kRefuse);
  EXPECT_EQ(config->budget.lease_usd, 0.5);
  ASSERT_EQ(config->rules.size(), 1u);
  const RuleConfig& rule = config->rules[0];
  EXPECT_EQ(rule.route, std::optional<Route>(Route::kFar));
  EXPECT_EQ(rule.target, "b");
  ASSERT_EQ(rule.when.children.size(), 6u);
  EXPECT_EQ(rule.when.children[0].children[0].words, std::vector<std::string>{"x"});
  EXPECT_EQ(rule.when.children[1].children[0].pii,
            static_cast<PiiSet>(Pii::kEmail) | static_cast<PiiSet>(Pii::kIp));
  EXPECT_EQ(rule.when.children[2].above, std::optional<double>(1));
  EXPECT_EQ(rule.when.children[2].below, std::optional<double>(9));
  EXPECT_FALSE(rule.when.children[3].wanted);
  EXPECT_EQ(rule.when.children[4].kind, RuleCondition::Kind::kLanguage);
  EXPECT_TRUE(rule.when.children[5].wanted);
  EXPECT_EQ(config->choose.kind, PolicyKind::kThreshold);
  EXPECT_EQ(config->choose.threshold, 0.6);
  EXPECT_EQ(config->draft.check_every_tokens, 4);
  EXPECT_EQ(config->draft.hold_back_tokens, 5);
  EXPECT_EQ(config->draft.min_tokens, 6);
  EXPECT_EQ(config->draft.min_confidence, std::optional<double>(0.7));
  EXPECT_EQ(config->stream.release, Release::kImmediate);
  EXPECT_EQ(config->stream.release_at, 0.8);
  EXPECT_EQ(config->stream.on_handover, OnHandover::kRetract);
  EXPECT_EQ(config->offline, OfflineAnswer::kRefuse);
  EXPECT_EQ(config->device.battery_floor, 0.1);
  EXPECT_EQ(config->device.thermal_ceiling, ThermalLevel::kWarm);
  EXPECT_TRUE(config->log.prompt_text);
  EXPECT_EQ(config->log.keep, absl::Hours(24 * 14));
}

TEST(ParsePolicy, WhatIsAbsentHasItsDocumentedDefault) {
  const auto config = ParsePolicy("schema_version: 1", "p.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  const PolicyConfig defaults;
  EXPECT_EQ(config->name, defaults.name);
  EXPECT_EQ(config->value.right_answer_usd, 0.004);
  EXPECT_EQ(config->value.second_usd, 0.0005);
  EXPECT_EQ(config->near.when_unknown, Route::kNear);
  EXPECT_EQ(config->near.calibration, nullptr);
  EXPECT_EQ(config->budget.limit_usd, std::nullopt);
  const auto unpriced =
      ParsePolicy("schema_version: 1\nfar: [{name: a, target: \"unix:/a\"}]", "p");
  ASSERT_TRUE(unpriced.ok()) << unpriced.status();
  EXPECT_EQ(unpriced->far[0].input_usd_per_mtok, std::nullopt);
  EXPECT_EQ(unpriced->far[0].output_usd_per_mtok, std::nullopt);
  EXPECT_EQ(config->budget.window, absl::Hours(24));
  EXPECT_EQ(config->choose.kind, PolicyKind::kFixed);
  EXPECT_EQ(config->choose.route, Route::kNear);
  EXPECT_EQ(config->stream.release, Release::kJudged);
  EXPECT_EQ(config->device.thermal_ceiling, ThermalLevel::kCritical);
  EXPECT_FALSE(config->log.prompt_text);
  EXPECT_EQ(config->log.keep, absl::Hours(24 * 30));
}

TEST(ParsePolicy, RevisionFollowsTheMeaningAndNotTheLayout) {
  const auto revision = [](const std::string& text) {
    const auto config = ParsePolicy(text, "p");
    EXPECT_TRUE(config.ok()) << config.status();
    return config.ok() ? config->revision : "";
  };
  const std::string yaml = "schema_version: 1\nname: x\nvalue: {second_usd: 0.5}\n";
  EXPECT_EQ(revision(yaml), revision("# comment\nvalue:\n  second_usd: 5e-1\nname: 'x'\n"
                                     "schema_version: 1"));
  EXPECT_EQ(revision(yaml),
            revision(R"({"schema_version": 1, "name": "x", "value": {"second_usd": 0.5}})"));
  EXPECT_NE(revision(yaml), revision("schema_version: 1\nname: x\nvalue: {second_usd: 0.6}\n"));
}

TEST(LoadPolicyFile, MissingFilesAndFoldersAreNotFound) {
  EXPECT_EQ(LoadPolicyFile("/nowhere/p.yaml").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(LoadPolicyFile("/").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(LoadPolicyFile("no-such-preset").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(LoadCalibrationFile("/nowhere/c.yaml").status().code(), absl::StatusCode::kNotFound);
}

// --- calibrations --------------------------------------------------------------------------------

Calibration FullCalibration() {
  Calibration c = *CalibrationOf(0.3, 0.6, 0.9);
  c.name = "quoted \"name\" \\ with\nlines and \x01 é";
  c.binding.adapter = "lora";
  c.binding.sampling = "sampled";
  c.draft->features = {"logprob_mean", "prompt.numbers"};
  c.draft->weights = {1.0 / 3, -2e-17};
  c.draft->means = {-0.1, 1e300};
  c.draft->scales = {0.7, 5e-324};
  c.draft->platt = {1.25, -0.1};
  c.prompt_near->hash_bits = kPromptHashBits;
  for (uint32_t i = 0; i < 500; ++i) c.prompt_near->hashed_weights[i * 97] = 0.1f * i - 7;
  c.prompt_near->isotonic_x = {0.1, 0.2};
  c.prompt_near->isotonic_y = {0.05, 0.95};
  c.prompt_far.push_back({"big", "f1", ConstantHead(0.8)});
  c.prompt_far.push_back({"bigger", "", ConstantHead(0.9)});
  c.prefix_deviation = 0.1 + 0.2;
  c.p90_tokens = 210.5;
  c.fit.questions = 321;
  c.fit.auroc = 0.77;
  c.fit.brier = 0.125;
  c.fit.length_only_auroc = 0.5;
  c.fit.command = "nearfar calibrate --seed 1";
  return c;
}

void ExpectSame(const LogisticHead& a, const LogisticHead& b) {
  EXPECT_EQ(a.features, b.features);
  EXPECT_EQ(a.weights, b.weights);
  EXPECT_EQ(a.means, b.means);
  EXPECT_EQ(a.scales, b.scales);
  EXPECT_EQ(a.bias, b.bias);
  EXPECT_EQ(a.hash_bits, b.hash_bits);
  EXPECT_EQ(a.hashed_weights, b.hashed_weights);
  EXPECT_EQ(a.platt, b.platt);
  EXPECT_EQ(a.isotonic_x, b.isotonic_x);
  EXPECT_EQ(a.isotonic_y, b.isotonic_y);
}

TEST(FormatCalibration, ReadsBackToTheSameValue) {
  const Calibration c = FullCalibration();
  const auto back = ParseCalibration(FormatCalibration(c), "c.yaml");
  ASSERT_TRUE(back.ok()) << back.status() << "\n" << FormatCalibration(c);
  EXPECT_EQ(back->name, c.name);
  EXPECT_EQ(back->binding.fingerprint, c.binding.fingerprint);
  EXPECT_EQ(back->binding.quantization, c.binding.quantization);
  EXPECT_EQ(back->binding.template_hash, c.binding.template_hash);
  EXPECT_EQ(back->binding.kv_type, c.binding.kv_type);
  EXPECT_EQ(back->binding.sampling, c.binding.sampling);
  EXPECT_EQ(back->binding.adapter, c.binding.adapter);
  EXPECT_EQ(back->binding.feature_version, c.binding.feature_version);
  ExpectSame(*back->prompt_near, *c.prompt_near);
  ExpectSame(*back->draft, *c.draft);
  ExpectSame(*back->prefix, *c.prefix);
  EXPECT_EQ(back->prefix_deviation, c.prefix_deviation);
  ASSERT_EQ(back->prompt_far.size(), 2u);
  EXPECT_EQ(back->prompt_far[0].target_model, "big");
  EXPECT_EQ(back->prompt_far[0].target_fingerprint, "f1");
  ExpectSame(back->prompt_far[1].head, c.prompt_far[1].head);
  EXPECT_EQ(back->median_tokens, 100);
  EXPECT_EQ(back->p90_tokens, 210.5);
  EXPECT_EQ(back->fit.questions, 321);
  EXPECT_EQ(back->fit.auroc, c.fit.auroc);
  EXPECT_EQ(back->fit.ece, std::nullopt);
  EXPECT_EQ(back->fit.brier, c.fit.brier);
  EXPECT_EQ(back->fit.length_only_auroc, c.fit.length_only_auroc);
  EXPECT_EQ(back->fit.command, c.fit.command);
  EXPECT_EQ(back->fit.risk, c.fit.risk);
  EXPECT_EQ(FormatCalibration(*back), FormatCalibration(c));
}

TEST(FormatCalibration, AnEmptyOneReadsBack) {
  Calibration c;
  c.binding.fingerprint = "f";
  const auto back = ParseCalibration(FormatCalibration(c), "c.yaml");
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_FALSE(back->draft.has_value());
}

TEST(Calibrations, AreFoundBesideThePolicyAndInTheSearchPaths) {
  const std::string folder = testing::TempDir() + "/nearfar_policy_file_test";
  std::filesystem::create_directories(folder + "/shipped");
  std::ofstream(folder + "/shipped/c.yaml") << FormatCalibration(FullCalibration());
  std::ofstream(folder + "/p.yaml") << "schema_version: 1\nnear: {calibration: c.yaml}\n"
                                       "draft: {accept: {max_wrong_accepted: 0.07}}\n";
  EXPECT_FALSE(LoadPolicyFile(folder + "/p.yaml").ok());
  PolicyFileOptions options;
  options.search_paths = {folder + "/shipped"};
  auto config = LoadPolicyFile(folder + "/p.yaml", options);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->near.calibration_path, folder + "/shipped/c.yaml");
  const std::string revision = config->revision;
  Calibration other = FullCalibration();
  other.draft->bias += 1;
  std::ofstream(folder + "/c.yaml") << FormatCalibration(other);
  config = LoadPolicyFile(folder + "/p.yaml", options);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->near.calibration_path, folder + "/c.yaml");
  EXPECT_NE(config->revision, revision);  // the calibration is part of what a policy says
  std::filesystem::remove_all(folder);
}

// --- mutations -----------------------------------------------------------------------------------

// What a mutant does must be an error with a place, or a policy that works.
void ExpectErrorOrPolicy(const std::string& text, const std::string& what) {
  const auto config = ParsePolicy(text, "m.yaml");
  if (!config.ok()) {
    EXPECT_THAT(std::string(config.status().message()), HasSubstr("m.yaml:")) << what;
    return;
  }
  const auto policy = MakePolicy(*config);
  ASSERT_TRUE(policy.ok()) << what << ": " << policy.status();
  const Decision decision = (*policy)->Choose(PlainSignals());
  EXPECT_EQ(decision.propensity, 1) << what;
}

TEST(Mutations, EveryLineOfEveryPresetDeletedOrBroken) {
  const std::string folder = std::string(kRoot) + "policies/presets/";
  for (const std::string& file : YamlFilesIn(folder)) {
    std::istringstream stream(ReadText(folder + file));
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    const auto with = [&](size_t at, const std::string& replacement) {
      std::string text;
      for (size_t i = 0; i < lines.size(); ++i) text += (i == at ? replacement : lines[i]) + "\n";
      return text;
    };
    for (size_t i = 0; i < lines.size(); ++i) {
      const size_t colon = lines[i].find(": ");
      ExpectErrorOrPolicy(with(i, ""), lines[i]);
      ExpectErrorOrPolicy(with(i, lines[i] + "\n" + lines[i]), lines[i]);
      ExpectErrorOrPolicy(with(i, " " + lines[i]), lines[i]);
      if (colon == std::string::npos) continue;
      for (const char* value : {"",           "~",     "x",       "\"x\"",
                                "[]",         "[x]",   "{}",      "{x: 1}",
                                "true",       "0",     "-1",      "1e308",
                                "1e999",      ".nan",  "-.inf",   "99999999999999999999",
                                "0x10",       "1_000", "''",      "'\\0'",
                                "*x",         "&x 1",  "!!str 1", "|\n  text",
                                "2024-01-01", "-0.0",  "+",       "."}) {
        ExpectErrorOrPolicy(with(i, lines[i].substr(0, colon + 2) + value),
                            lines[i] + " = " + value);
      }
    }
  }
}

TEST(Mutations, RandomBytesNeverCrash) {
  const std::string preset = ReadText(std::string(kRoot) + "policies/presets/balanced.yaml");
  const std::string bytes = "{}[]:,&*!|>'\"%@`#-?\n\t ~x1\\\x7f\xc3";
  uint32_t state = 12345;
  const auto next = [&](size_t n) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % n;
  };
  for (int round = 0; round < 1500; ++round) {
    std::string text = preset;
    for (size_t edits = 1 + next(4); edits > 0; --edits) {
      const size_t at = next(text.size());
      switch (next(4)) {
        case 0:
          text[at] = bytes[next(bytes.size())];
          break;
        case 1:
          text.erase(at, 1 + next(20));
          break;
        case 2:
          text.insert(at, 1, bytes[next(bytes.size())]);
          break;
        case 3:
          text.resize(at + 1);
          break;
      }
    }
    ExpectErrorOrPolicy(text, "round " + std::to_string(round));
  }
}

}  // namespace
}  // namespace nearfar
