// See record_json.h. Names follow policies/signals.h and policies/decision.h.

#include "router/internal/record_json.h"

#include <string_view>
#include <utility>

#include "router/internal/json_writer.h"

namespace nearfar::internal {
namespace {

constexpr std::pair<Pii, const char*> kPiiNames[] = {
    {Pii::kEmail, "email"}, {Pii::kPhone, "phone"}, {Pii::kCard, "card"},
    {Pii::kIban, "iban"},   {Pii::kIp, "ip"},       {Pii::kSecret, "secret"},
};

const char* ThermalName(ThermalLevel level) {
  switch (level) {
    case ThermalLevel::kCool:
      return "cool";
    case ThermalLevel::kWarm:
      return "warm";
    case ThermalLevel::kHot:
      return "hot";
    case ThermalLevel::kCritical:
      return "critical";
  }
  return "unknown";
}

void Dense(JsonWriter* json, const std::vector<double>& values) {
  json->Key("dense").BeginArray();
  for (double value : values) json->Value(value);
  json->EndArray();
}

void Findings(JsonWriter* json, const TextFindings& findings) {
  json->Key("pii").BeginArray();
  for (auto [kind, name] : kPiiNames) {
    if (findings.pii & static_cast<PiiSet>(kind)) json->Value(name);
  }
  json->EndArray().Key("keywords").BeginArray();
  for (const std::string& word : findings.keywords) json->Value(word);
  json->EndArray();
}

void Prompt(JsonWriter* json, const PromptSignals& prompt, bool keep_text) {
  json->Key("prompt").BeginObject();
  json->Field("bytes", prompt.bytes).Field("tokens", prompt.tokens).Field("turns", prompt.turns);
  json->Field("needs_json", prompt.needs_json).Field("has_code", prompt.has_code);
  json->Field("language", prompt.language);
  Dense(json, prompt.dense);
  Findings(json, prompt.findings);
  if (keep_text) {
    json->Key("hashed").BeginArray();
    for (auto [bucket, value] : prompt.hashed) {
      json->BeginArray().Value(static_cast<int64_t>(bucket)).Value(static_cast<double>(value));
      json->EndArray();
    }
    json->EndArray();
  }
  json->EndObject();
}

void Device(JsonWriter* json, const DeviceSignals& device) {
  json->Key("device").BeginObject();
  json->Field("battery", device.battery).Field("on_battery", device.on_battery);
  json->Field("temperature_celsius", device.temperature_celsius);
  if (device.thermal) json->Field("thermal", ThermalName(*device.thermal));
  json->Field("free_memory_bytes", device.free_memory_bytes).Field("cpu_load", device.cpu_load);
  json->EndObject();
}

void Near(JsonWriter* json, const NearSignals& near) {
  json->Key("near").BeginObject();
  json->Field("available", near.available).Field("model", near.model);
  json->Field("context_tokens", near.context_tokens).Field("json", near.json);
  json->Field("prefill_tokens_per_second", near.prefill_tokens_per_second);
  json->Field("decode_tokens_per_second", near.decode_tokens_per_second);
  json->Key("binding").BeginObject();
  json->Field("fingerprint", near.binding.fingerprint);
  json->Field("quantization", near.binding.quantization);
  json->Field("template_hash", near.binding.template_hash);
  json->Field("kv_type", near.binding.kv_type).Field("sampling", near.binding.sampling);
  json->Field("adapter", near.binding.adapter);
  json->Field("feature_version", near.binding.feature_version);
  json->EndObject().EndObject();
}

void Far(JsonWriter* json, const std::vector<FarSignals>& far) {
  json->Key("far").BeginArray();
  for (const FarSignals& target : far) {
    json->BeginObject();
    json->Field("name", target.name).Field("model", target.model);
    json->Field("fingerprint", target.fingerprint);
    json->Field("trust", target.trust == Trust::kOwner ? "owner" : "third_party");
    json->Field("health", HealthName(target.health));
    json->Field("input_usd_per_mtok", target.input_usd_per_mtok);
    json->Field("output_usd_per_mtok", target.output_usd_per_mtok);
    json->Field("context_tokens", target.context_tokens).Field("json", target.json);
    json->Field("prior_right", target.prior_right).Field("ttft_seconds", target.ttft_seconds);
    json->Field("tokens_per_second", target.tokens_per_second);
    json->EndObject();
  }
  json->EndArray();
}

void Request(JsonWriter* json, const RequestSignals& request) {
  json->Key("request").BeginObject();
  if (request.route) json->Field("route", RouteName(*request.route));
  json->Field("max_cost_usd", request.max_cost_usd);
  json->Field("max_ttft_seconds", request.max_ttft_seconds);
  json->Field("min_confidence", request.min_confidence);
  json->Field("local_only", request.local_only).Field("max_tokens", request.max_tokens);
  json->EndObject();
}

void WriteSignals(JsonWriter* json, const Signals& signals, bool keep_text) {
  json->Key("signals").BeginObject();
  Prompt(json, signals.prompt, keep_text);
  Device(json, signals.device);
  Near(json, signals.near);
  Far(json, signals.far);
  json->Key("budget").BeginObject();
  json->Field("limit_usd", signals.budget.limit_usd).Field("spent_usd", signals.budget.spent_usd);
  json->Field("pacing_price", signals.budget.pacing_price).EndObject();
  Request(json, signals.request);
  json->Field("tainted", signals.tainted).Field("uniform_draw", signals.uniform_draw);
  json->EndObject();
}

void WriteDecision(JsonWriter* json, const Decision& decision) {
  json->BeginObject();
  json->Field("route", RouteName(decision.route)).Field("target", decision.target);
  json->Field("reason", ReasonName(decision.reason)).Field("detail", decision.detail);
  json->Field("score", decision.score).Field("threshold", decision.threshold);
  json->Key("terms").BeginArray();
  for (const Term& term : decision.terms) {
    json->BeginObject().Field("name", term.name).Field("value", term.value);
    json->Field("unit", term.unit).EndObject();
  }
  json->EndArray().Field("propensity", decision.propensity);
  json->Field("confidence", decision.confidence).Field("max_cost_usd", decision.max_cost_usd);
  json->Field("max_tokens", decision.max_tokens).Field("taint", TaintName(decision.taint));
  json->Field("flagged", decision.flagged).EndObject();
}

}  // namespace

const char* TaintName(Taint taint) {
  switch (taint) {
    case Taint::kNone:
      return "none";
    case Taint::kTurn:
      return "turn";
    case Taint::kSession:
      return "session";
  }
  return "unknown";
}

std::string RecordJson(const DecisionRecord& record, bool keep_text) {
  JsonWriter json;
  json.BeginObject();
  json.Field("request_id", record.request_id);
  json.Field("time", absl::FormatTime(absl::RFC3339_full, record.time, absl::UTCTimeZone()));
  json.Field("policy_name", record.policy_name).Field("policy_revision", record.policy_revision);
  WriteSignals(&json, record.signals, keep_text);
  json.Key("decisions").BeginArray();
  for (const Decision& decision : record.decisions) WriteDecision(&json, decision);
  json.EndArray();
  json.Field("outcome", record.outcome).Field("source", record.source);
  json.Field("flagged", record.flagged).Field("flag_reason", record.flag_reason);
  json.Field("confidence", record.confidence).Field("cost_usd", record.cost_usd);
  json.Field("seconds", record.seconds).Field("ttft_seconds", record.ttft_seconds);
  json.Field("near_tokens", record.near_tokens).Field("far_tokens", record.far_tokens);
  json.Field("discarded_tokens", record.discarded_tokens);
  json.Field("egress_bytes", record.egress_bytes).Field("tainted", record.tainted);
  if (keep_text) {
    json.Field("prompt_text", record.prompt_text).Field("answer_text", record.answer_text);
  }
  json.EndObject();
  return json.Take();
}

}  // namespace nearfar::internal
