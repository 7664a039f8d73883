#include "router/daemon/router_service.h"

#include <spdlog/spdlog.h>

#include <memory>
#include <utility>

#include "router/daemon/convert.h"
#include "router/daemon/grpc_status.h"
#include "router/daemon/stream_writer.h"
#include "router/daemon/unary_call.h"

namespace nearfar::daemon {
namespace {

using RoutedStream = StreamWriter<v1::RoutedResponse>;

bool JoinDeltas(v1::RoutedResponse* last, v1::RoutedResponse* next) {
  if (!last->has_delta() || !next->has_delta()) return false;
  if (last->delta().source() != next->delta().source()) return false;
  last->mutable_delta()->mutable_text()->append(next->delta().text());
  return true;
}

// The last event of a call that the router itself did not end.
v1::RoutedResponse FailureEvent(const grpc::Status& status) { return FailureOf(FromGrpc(status)); }

v1::GetHealthResponse::NearHealth NearHealthOf(const Engine& engine) {
  const EngineStats stats = engine.stats();
  v1::GetHealthResponse::NearHealth near;
  near.set_threads(engine.info().threads);
  near.set_threads_in_use(stats.threads_in_use);
  if (stats.temperature_celsius) near.set_temperature_celsius(*stats.temperature_celsius);
  near.set_paced(stats.paced);
  return near;
}

// Carries one query's events to its stream, and says in the log what became of it: never a text.
class StreamSink final : public EventSink {
 public:
  StreamSink(std::shared_ptr<RoutedStream> stream, std::string id, std::string revision)
      : stream_(std::move(stream)), id_(std::move(id)), revision_(std::move(revision)) {}

  void OnStarted(const Started& event) override {
    id_ = LogName(event.request_id);
    v1::RoutedResponse response = ToProto(event);
    response.mutable_started()->mutable_decision()->set_policy_revision(revision_);
    stream_->Push(std::move(response));
  }
  void OnDelta(const Delta& event) override { stream_->Push(ToProto(event)); }
  void OnRetract(const Retract& event) override { stream_->Push(ToProto(event)); }

  void OnFinished(const Finished& event) override {
    spdlog::info("query {} finished: {} ({}{}), {} + {} tokens, {:.6f} USD, {:.3f} s", id_,
                 event.source, ReasonName(event.decision.reason), event.flagged ? ", flagged" : "",
                 event.near_usage.completion_tokens, event.far_usage.completion_tokens,
                 event.cost_usd, absl::ToDoubleSeconds(event.elapsed));
    v1::RoutedResponse response = ToProto(event);
    response.mutable_finished()->mutable_decision()->set_policy_revision(revision_);
    stream_->EndWith(std::move(response), grpc::Status::OK);
  }

  void OnFailed(const Failed& event) override {
    const bool refused = event.decision.route == Route::kRefuse;
    spdlog::info(
        "query {} {}: {}, {:.6f} USD", id_, refused ? "refused" : "failed",
        refused ? ReasonName(event.decision.reason) : absl::StatusCodeToString(event.status.code()),
        event.cost_usd);
    const grpc::Status status = stream_->ReasonOf(ToGrpc(event.status));
    v1::RoutedResponse response = ToProto(Failed{FromGrpc(status), event.decision, event.cost_usd});
    response.mutable_failed()->mutable_decision()->set_policy_revision(revision_);
    stream_->EndWith(std::move(response), status);
  }

 private:
  const std::shared_ptr<RoutedStream> stream_;
  std::string id_;
  const std::string revision_;
};

// Of a query that the router never saw.
void LogRefusal(const v1::RoutedRequest& request, const absl::Status& status) {
  spdlog::info("query {} refused: {}", LogName(request.request_id()),
               absl::StatusCodeToString(status.code()));
}

grpc::ServerUnaryReactor* Done(grpc::CallbackServerContext* context, const grpc::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

}  // namespace

grpc::ServerWriteReactor<v1::RoutedResponse>* RouterService::Generate(
    grpc::CallbackServerContext* context, const v1::RoutedRequest* request) {
  std::shared_ptr<RoutedStream> stream = RoutedStream::Make(context, &JoinDeltas, &FailureEvent);
  auto ticket = options_.calls->Admit();
  if (!ticket.ok()) {
    LogRefusal(*request, ticket.status());
    stream->Fail(Refusal(context, ticket.status()));
    return stream.get();
  }
  stream->Hold(*std::move(ticket));
  absl::StatusOr<Query> query = ToQuery(*request);
  if (!query.ok()) {
    LogRefusal(*request, query.status());
    stream->Fail(ToGrpc(query.status()));
    return stream.get();
  }
  query->deadline = DeadlineOf(context->deadline(), absl::Now(), options_.limits);
  stream->EndBy(query->deadline + kDeadlineGrace);
  auto sink =
      std::make_shared<StreamSink>(stream, LogName(query->id), options_.reloader->state().revision);
  std::shared_ptr<RouterCall> call = options_.router->Start(*std::move(query), std::move(sink));
  stream->OnGone([call = std::move(call)] { call->Cancel(); });
  return stream.get();
}

grpc::ServerUnaryReactor* RouterService::Explain(grpc::CallbackServerContext* context,
                                                 const v1::RoutedRequest* request,
                                                 v1::ExplainResponse* response) {
  return UnaryCall::Run(context, options_.calls, [&](UnaryCall* call) {
    const absl::StatusOr<Query> query = ToQuery(*request);
    if (!query.ok()) return call->Finish(ToGrpc(query.status()));
    const absl::StatusOr<Decision> decision = options_.router->Explain(*query);
    if (!decision.ok()) return call->Finish(ToGrpc(decision.status()));
    *response->mutable_decision() = ToProto(*decision);
    response->mutable_decision()->set_policy_revision(options_.reloader->state().revision);
    call->Finish(grpc::Status::OK);
  });
}

grpc::ServerUnaryReactor* RouterService::GetHealth(grpc::CallbackServerContext* context,
                                                   const v1::GetHealthRequest*,
                                                   v1::GetHealthResponse* response) {
  const RouterStatus status = options_.router->status();
  const ReloadState reload = options_.reloader->state();
  response->set_version(NEARFAR_VERSION);
  response->set_near_model(options_.near_model);
  response->set_policy_name(status.policy_name);
  response->set_policy_revision(status.policy_revision);
  response->set_last_reload_successful(reload.last.ok());
  response->set_last_reload_error(std::string(reload.last.message()));
  for (const auto& [name, health] : status.far) {
    v1::GetHealthResponse::FarHealth* far = response->add_far();
    far->set_name(name);
    far->set_state(HealthName(health));
  }
  response->set_budget_limit_usd(status.budget.limit_usd.value_or(0));
  response->set_budget_spent_usd(status.budget.spent_usd);
  response->set_calibration_matches(status.calibration.ok());
  response->set_calibration_status(std::string(status.calibration.message()));
  response->set_lost_records(status.lost_records);
  response->set_taint_status(std::string(status.taint.message()));
  if (options_.engine) *response->mutable_near() = NearHealthOf(*options_.engine);
  return Done(context, grpc::Status::OK);
}

grpc::ServerUnaryReactor* RouterService::ReloadPolicy(grpc::CallbackServerContext* context,
                                                      const v1::ReloadPolicyRequest*,
                                                      v1::ReloadPolicyResponse* response) {
  // A daemon that is full is one whose policy an operator may want to change.
  return UnaryCall::Run(
      context, options_.calls,
      [&](UnaryCall* call) {
        options_.reloader->Request([call, response](const ReloadState& state) {
          response->set_policy_name(state.name);
          response->set_policy_revision(state.revision);
          call->Finish(ToGrpc(state.last));
        });
      },
      CallKind::kOperator);
}

grpc::ServerUnaryReactor* RouterService::ClearTaint(grpc::CallbackServerContext* context,
                                                    const v1::ClearTaintRequest* request,
                                                    v1::ClearTaintResponse*) {
  return UnaryCall::Run(context, options_.calls, [&](UnaryCall* call) {
    const absl::Status cleared = options_.router->ClearTaint(request->session_key());
    if (cleared.ok()) spdlog::info("the taint of a session was cleared by its user");
    call->Finish(ToGrpc(cleared));
  });
}

}  // namespace nearfar::daemon
