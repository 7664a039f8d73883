#include "router/daemon/convert.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "local_engine/sampling_options.h"
#include "router/internal/utf8.h"

namespace nearfar::daemon {
namespace {

constexpr int kMostTokens = 1 << 20;
constexpr size_t kLongestKey = 256;

absl::Status Wrong(const std::string& field, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", what));
}

absl::Status CheckWithin(const char* field, double value, double least, double most) {
  if (value >= least && value <= most) return absl::OkStatus();  // false for NaN
  return Wrong(field, absl::StrCat("is ", value, ", must be within ", least, " and ", most));
}

// The first status that is not OK.
absl::Status FirstOf(std::initializer_list<absl::Status> all) {
  for (const absl::Status& status : all) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

bool IsRole(const std::string& role) {
  return role == "system" || role == "user" || role == "assistant" || role == "tool";
}

template <typename Messages>
absl::StatusOr<std::vector<Message>> ToMessages(const Messages& messages) {
  if (messages.empty()) return Wrong("messages", "there is none");
  std::vector<Message> out;
  for (int i = 0; i < messages.size(); ++i) {
    if (!IsRole(messages[i].role())) {
      return Wrong(absl::StrCat("messages[", i, "].role"),
                   "must be system, user, assistant or tool");
    }
    out.push_back({messages[i].role(), messages[i].content()});
  }
  return out;
}

absl::StatusOr<SamplingParams> ToSampling(const v1::Sampling& sampling) {
  SamplingParams out;
  out.temperature = sampling.temperature();
  out.top_k = sampling.top_k();
  if (sampling.has_top_p()) out.top_p = sampling.top_p();
  out.min_p = sampling.min_p();
  if (sampling.has_repetition_penalty()) out.repetition_penalty = sampling.repetition_penalty();
  out.seed = sampling.seed();
  const absl::Status status =
      FirstOf({CheckWithin("sampling.temperature", out.temperature, 0, 100),
               CheckWithin("sampling.top_k", out.top_k, 0, 1 << 20),
               CheckWithin("sampling.top_p", out.top_p, 1e-6, 1),
               CheckWithin("sampling.min_p", out.min_p, 0, 0.999999),
               CheckWithin("sampling.repetition_penalty", out.repetition_penalty,
                           kLeastRepetitionPenalty, kMostRepetitionPenalty)});
  if (!status.ok()) return status;
  return out;
}

template <typename Stops>
absl::StatusOr<std::vector<std::string>> ToStops(const Stops& stops) {
  if (stops.size() > kMostStops) {
    return Wrong("stop", absl::StrCat("has ", stops.size(), " strings, at most ", kMostStops));
  }
  for (const std::string& stop : stops) {
    if (stop.empty() || stop.size() > kMostStopBytes) {
      return Wrong("stop",
                   absl::StrCat("a string is empty or longer than ", kMostStopBytes, " bytes"));
    }
  }
  return std::vector<std::string>(stops.begin(), stops.end());
}

absl::Status CheckKey(const char* field, const std::string& key) {
  if (key.size() <= kLongestKey) return absl::OkStatus();
  return Wrong(field, absl::StrCat("is longer than ", kLongestKey, " bytes"));
}

absl::StatusOr<ResponseFormat> ToFormat(v1::ResponseFormat format) {
  switch (format) {
    case v1::RESPONSE_FORMAT_UNSPECIFIED:
    case v1::RESPONSE_FORMAT_TEXT:
      return ResponseFormat::kText;
    case v1::RESPONSE_FORMAT_JSON:
      return ResponseFormat::kJson;
    default:
      return Wrong("format", "is not known to this version");
  }
}

// What both requests share: fills `out` of Query's or BackendRequest's shape.
template <typename Request, typename Out>
absl::Status Fill(const Request& request, Out* out) {
  auto messages = ToMessages(request.messages());
  auto sampling = ToSampling(request.sampling());
  auto stops = ToStops(request.stop());
  auto format = ToFormat(request.format());
  const absl::Status status =
      FirstOf({messages.status(), sampling.status(), stops.status(), format.status(),
               CheckWithin("max_tokens", request.max_tokens(), 0, kMostTokens),
               CheckKey("session_key", request.session_key()),
               CheckKey("request_id", request.request_id())});
  if (!status.ok()) return status;
  out->messages = *std::move(messages);
  out->sampling = *sampling;
  out->stop = *std::move(stops);
  out->format = *format;
  out->session_key = request.session_key();
  return absl::OkStatus();
}

absl::StatusOr<RequestOptions> ToOptions(const v1::RequestOptions& options) {
  RequestOptions out;
  if (options.route() == v1::ROUTE_NEAR) out.route = Route::kNear;
  if (options.route() == v1::ROUTE_FAR) out.route = Route::kFar;
  if (!out.route && options.route() != v1::ROUTE_UNSPECIFIED) {
    return Wrong("options.route", "must be near or far, or left out");
  }
  if (options.has_max_cost_usd()) out.max_cost_usd = options.max_cost_usd();
  if (options.has_min_confidence()) out.min_confidence = options.min_confidence();
  const absl::Status status =
      FirstOf({CheckWithin("options.max_cost_usd", options.max_cost_usd(), 0, 1e9),
               CheckWithin("options.max_ttft_seconds", options.max_ttft_seconds(), 0, 1e6),
               CheckWithin("options.min_confidence", options.min_confidence(), 0, 1)});
  if (!status.ok()) return status;
  if (options.has_max_ttft_seconds()) out.max_ttft = absl::Seconds(options.max_ttft_seconds());
  out.local_only = options.local_only();
  out.allow_retract = options.allow_retract();
  return out;
}

v1::Route ToProto(Route route) {
  switch (route) {
    case Route::kNear:
      return v1::ROUTE_NEAR;
    case Route::kFar:
      return v1::ROUTE_FAR;
    case Route::kDraft:
      return v1::ROUTE_DRAFT;
    case Route::kRefuse:
      return v1::ROUTE_REFUSE;
  }
  return v1::ROUTE_UNSPECIFIED;
}

v1::Taint ToProto(Taint taint) {
  switch (taint) {
    case Taint::kNone:
      return v1::TAINT_UNSPECIFIED;
    case Taint::kTurn:
      return v1::TAINT_TURN;
    case Taint::kSession:
      return v1::TAINT_SESSION;
  }
  return v1::TAINT_UNSPECIFIED;
}

// When a decision was taken: only some reasons exist after a draft began.
const char* MomentOf(Reason reason) {
  switch (reason) {
    case Reason::kEarlyExit:
    case Reason::kKeepDrafting:
      return "during";
    case Reason::kDraftAccepted:
    case Reason::kDraftRejected:
    case Reason::kFarFailed:
    case Reason::kNearFailed:
      return "after";
    default:
      return "before";
  }
}

}  // namespace

absl::StatusOr<Query> ToQuery(const v1::RoutedRequest& request) {
  Query query;
  const absl::Status status = Fill(request, &query);
  if (!status.ok()) return status;
  auto options = ToOptions(request.options());
  if (!options.ok()) return options.status();
  query.id = request.request_id();
  query.max_tokens = request.max_tokens();
  query.options = *std::move(options);
  return query;
}

absl::StatusOr<BackendRequest> ToBackendRequest(const v1::GenerateRequest& request) {
  BackendRequest out;
  const absl::Status status = Fill(request, &out);
  if (!status.ok()) return status;
  out.request_id = request.request_id();
  if (request.max_tokens() > 0) out.max_tokens = request.max_tokens();
  out.assistant_prefix = request.assistant_prefix();
  return out;
}

v1::Decision ToProto(const Decision& decision) {
  v1::Decision out;
  out.set_route(ToProto(decision.route));
  out.set_target(decision.target);
  out.set_reason(ReasonName(decision.reason));
  out.set_detail(internal::ToValidUtf8(decision.detail));  // it may quote another side
  if (decision.score) out.set_score(*decision.score);
  if (decision.threshold) out.set_threshold(*decision.threshold);
  for (const Term& term : decision.terms) {
    v1::Term* to = out.add_terms();
    to->set_name(term.name);
    to->set_value(term.value);
    to->set_unit(term.unit);
  }
  for (const Flip& flip : decision.flips) {
    v1::Flip* to = out.add_flips();
    to->set_input(flip.input);
    to->set_current(flip.current);
    to->set_flips_at(flip.flips_at);
    to->set_to(ToProto(flip.to));
    to->set_unit(flip.unit);
  }
  out.set_propensity(decision.propensity);
  out.set_moment(MomentOf(decision.reason));
  if (decision.confidence) out.set_confidence(*decision.confidence);
  out.set_taint(ToProto(decision.taint));
  out.set_flagged(decision.flagged);
  return out;
}

v1::FinishReason ToProto(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return v1::FINISH_REASON_STOP;
    case FinishReason::kLength:
      return v1::FINISH_REASON_LENGTH;
    case FinishReason::kContentFilter:
      return v1::FINISH_REASON_CONTENT_FILTER;
    case FinishReason::kToolCalls:
      return v1::FINISH_REASON_TOOL_CALLS;
  }
  return v1::FINISH_REASON_UNSPECIFIED;
}

v1::Usage ToProto(const Usage& usage) {
  v1::Usage out;
  out.set_prompt_tokens(usage.prompt_tokens);
  out.set_completion_tokens(usage.completion_tokens);
  out.set_cached_prompt_tokens(usage.cached_prompt_tokens);
  return out;
}

v1::RoutedResponse ToProto(const Started& event) {
  v1::RoutedResponse out;
  out.mutable_started()->set_request_id(event.request_id);
  *out.mutable_started()->mutable_decision() = ToProto(event.decision);
  return out;
}

v1::RoutedResponse ToProto(const Delta& event) {
  v1::RoutedResponse out;
  out.mutable_delta()->set_text(event.text);
  out.mutable_delta()->set_source(event.source);
  return out;
}

v1::RoutedResponse ToProto(const Retract& event) {
  v1::RoutedResponse out;
  out.mutable_retract()->set_from(event.from);
  return out;
}

v1::RoutedResponse ToProto(const Finished& event) {
  v1::RoutedResponse out;
  v1::RoutedResponse::Finished* to = out.mutable_finished();
  to->set_reason(ToProto(event.reason));
  *to->mutable_near_usage() = ToProto(event.near_usage);
  *to->mutable_far_usage() = ToProto(event.far_usage);
  to->set_cost_usd(event.cost_usd);
  if (event.confidence) to->set_confidence(*event.confidence);
  *to->mutable_decision() = ToProto(event.decision);
  to->set_flagged(event.flagged);
  to->set_flag_reason(event.flag_reason);
  to->set_seconds(absl::ToDoubleSeconds(event.elapsed));
  to->set_ttft_seconds(absl::ToDoubleSeconds(event.ttft));
  to->set_source(event.source);
  return out;
}

v1::RoutedResponse FailureOf(const absl::Status& status) {
  v1::RoutedResponse out;
  out.mutable_failed()->set_reason(absl::StatusCodeToString(status.code()));
  out.mutable_failed()->set_message(internal::ToValidUtf8(std::string(status.message())));
  return out;
}

v1::RoutedResponse ToProto(const Failed& event) {
  v1::RoutedResponse out = FailureOf(event.status);
  v1::RoutedResponse::Failed* to = out.mutable_failed();
  *to->mutable_decision() = ToProto(event.decision);
  to->set_cost_usd(event.cost_usd);
  return out;
}

}  // namespace nearfar::daemon
