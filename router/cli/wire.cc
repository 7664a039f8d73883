// See wire.h.

#include "router/cli/wire.h"

#include <utility>

namespace nearfar::cli {
namespace {

Route FromWire(nearfar::v1::Route route) {
  switch (route) {
    case nearfar::v1::ROUTE_FAR:
      return Route::kFar;
    case nearfar::v1::ROUTE_DRAFT:
      return Route::kDraft;
    case nearfar::v1::ROUTE_REFUSE:
      return Route::kRefuse;
    default:
      return Route::kNear;
  }
}

// What a newer daemon may add is at least as strict as the strictest that this program knows.
Taint FromWire(nearfar::v1::Taint taint) {
  switch (taint) {
    case nearfar::v1::TAINT_UNSPECIFIED:
      return Taint::kNone;
    case nearfar::v1::TAINT_TURN:
      return Taint::kTurn;
    default:
      return Taint::kSession;
  }
}

// The codes are those of ReasonName; one that this program does not know (a newer daemon) is shown
// as a fixed decision whose detail names it.
Reason FromWire(const std::string& reason, std::string* detail) {
  for (int i = 0; i <= static_cast<int>(Reason::kNearFailed); ++i) {
    const auto candidate = static_cast<Reason>(i);
    if (reason == ReasonName(candidate)) return candidate;
  }
  *detail = detail->empty() ? reason : reason + ": " + *detail;
  return Reason::kFixed;
}

FinishReason FromWire(nearfar::v1::FinishReason reason) {
  switch (reason) {
    case nearfar::v1::FINISH_REASON_LENGTH:
      return FinishReason::kLength;
    case nearfar::v1::FINISH_REASON_CONTENT_FILTER:
      return FinishReason::kContentFilter;
    case nearfar::v1::FINISH_REASON_TOOL_CALLS:
      return FinishReason::kToolCalls;
    default:
      return FinishReason::kStop;
  }
}

Usage FromWire(const nearfar::v1::Usage& usage) {
  return {usage.prompt_tokens(), usage.completion_tokens(), usage.cached_prompt_tokens()};
}

void FillOptions(const RequestOptions& options, nearfar::v1::RequestOptions* wire) {
  if (options.route.has_value()) {
    wire->set_route(*options.route == Route::kFar ? nearfar::v1::ROUTE_FAR
                                                  : nearfar::v1::ROUTE_NEAR);
  }
  if (options.max_cost_usd.has_value()) wire->set_max_cost_usd(*options.max_cost_usd);
  if (options.max_ttft.has_value()) {
    wire->set_max_ttft_seconds(absl::ToDoubleSeconds(*options.max_ttft));
  }
  if (options.min_confidence.has_value()) wire->set_min_confidence(*options.min_confidence);
  wire->set_local_only(options.local_only);
  wire->set_allow_retract(options.allow_retract);
}

}  // namespace

nearfar::v1::RoutedRequest ToWire(const Query& query) {
  nearfar::v1::RoutedRequest request;
  request.set_request_id(query.id);
  request.set_session_key(query.session_key);
  for (const Message& message : query.messages) {
    auto* wire = request.add_messages();
    wire->set_role(message.role);
    wire->set_content(message.content);
  }
  auto* sampling = request.mutable_sampling();
  sampling->set_temperature(query.sampling.temperature);
  sampling->set_top_k(query.sampling.top_k);
  sampling->set_top_p(query.sampling.top_p);
  sampling->set_min_p(query.sampling.min_p);
  sampling->set_repetition_penalty(query.sampling.repetition_penalty);
  sampling->set_seed(query.sampling.seed);
  request.set_max_tokens(query.max_tokens);
  for (const std::string& stop : query.stop) request.add_stop(stop);
  if (query.format == ResponseFormat::kJson) {
    request.set_format(nearfar::v1::RESPONSE_FORMAT_JSON);
  }
  FillOptions(query.options, request.mutable_options());
  return request;
}

Decision FromWire(const nearfar::v1::Decision& wire) {
  Decision decision;
  decision.route = FromWire(wire.route());
  decision.target = wire.target();
  decision.detail = wire.detail();
  decision.reason = FromWire(wire.reason(), &decision.detail);
  if (wire.has_score()) decision.score = wire.score();
  if (wire.has_threshold()) decision.threshold = wire.threshold();
  if (wire.has_confidence()) decision.confidence = wire.confidence();
  decision.propensity = wire.propensity();
  decision.taint = FromWire(wire.taint());
  decision.flagged = wire.flagged();
  for (const auto& term : wire.terms()) {
    decision.terms.push_back({term.name(), term.value(), term.unit()});
  }
  for (const auto& flip : wire.flips()) {
    decision.flips.push_back(
        {flip.input(), flip.current(), flip.flips_at(), FromWire(flip.to()), flip.unit()});
  }
  return decision;
}

Finished FromWire(const nearfar::v1::RoutedResponse::Finished& wire, std::string text) {
  Finished finished;
  finished.reason = FromWire(wire.reason());
  finished.text = std::move(text);
  finished.near_usage = FromWire(wire.near_usage());
  finished.far_usage = FromWire(wire.far_usage());
  finished.cost_usd = wire.cost_usd();
  if (wire.has_confidence()) finished.confidence = wire.confidence();
  finished.decision = FromWire(wire.decision());
  finished.flagged = wire.flagged();
  finished.flag_reason = wire.flag_reason();
  finished.source = wire.source();
  finished.elapsed = absl::Seconds(wire.seconds());
  finished.ttft = absl::Seconds(wire.ttft_seconds());
  return finished;
}

}  // namespace nearfar::cli
