#include "router/daemon/inference_service.h"

#include <spdlog/spdlog.h>

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "router/catalogue.h"
#include "router/daemon/convert.h"
#include "router/daemon/grpc_status.h"
#include "router/daemon/stream_writer.h"
#include "router/daemon/unary_call.h"
#include "router/local_backend.h"

namespace nearfar::daemon {
namespace {

using GenerateStream = StreamWriter<v1::GenerateResponse>;

constexpr double kTokensPerMillion = 1e6;

bool JoinDeltas(v1::GenerateResponse* last, v1::GenerateResponse* next) {
  if (!last->has_delta() || !next->has_delta()) return false;
  last->mutable_delta()->mutable_text()->append(next->delta().text());
  last->mutable_delta()->mutable_tokens()->MergeFrom(next->delta().tokens());
  return true;
}

struct Bill {
  double input_usd_per_mtok, output_usd_per_mtok;

  // Empty = this server has no price, and its client's own counts.
  std::optional<double> Of(const Usage& usage) const {
    if (input_usd_per_mtok <= 0 && output_usd_per_mtok <= 0) return std::nullopt;
    return (static_cast<double>(usage.prompt_tokens) * input_usd_per_mtok +
            static_cast<double>(usage.completion_tokens) * output_usd_per_mtok) /
           kTokensPerMillion;
  }
};

// Carries one generation's events to its stream.
class StreamSink final : public BackendSink {
 public:
  StreamSink(std::shared_ptr<GenerateStream> stream, const v1::GenerateRequest& request, Bill bill)
      : stream_(std::move(stream)),
        request_id_(request.request_id()),
        token_details_(request.token_details()),
        bill_(bill),
        begin_(absl::Now()) {}

  void OnStarted(const BackendStarted& event) override {
    prefilled_ = absl::Now();
    v1::GenerateResponse response;
    v1::GenerateResponse::Started* started = response.mutable_started();
    started->set_request_id(request_id_);
    started->set_model(event.model);
    started->set_fingerprint(event.fingerprint);
    started->set_prompt_tokens(event.prompt_tokens);
    stream_->Push(std::move(response));
  }

  void OnDelta(const BackendDelta& event) override {
    if (event.text.empty() && !token_details_) return;
    v1::GenerateResponse response;
    response.mutable_delta()->set_text(event.text);
    if (token_details_) AddDetails(event.tokens, response.mutable_delta());
    stream_->Push(std::move(response));
  }

  void OnFinished(const BackendFinished& event) override {
    const std::optional<double> cost = bill_.Of(event.usage);
    v1::GenerateResponse response;
    v1::GenerateResponse::Finished* finished = response.mutable_finished();
    finished->set_reason(ToProto(event.reason));
    *finished->mutable_usage() = ToProto(event.usage);
    if (cost) finished->set_cost_usd(*cost);
    const absl::Time prefilled = prefilled_.value_or(begin_);
    finished->set_prefill_seconds(absl::ToDoubleSeconds(prefilled - begin_));
    finished->set_decode_seconds(absl::ToDoubleSeconds(absl::Now() - prefilled));
    spdlog::info("generation {} finished: {} + {} tokens, {:.6f} USD", LogName(request_id_),
                 event.usage.prompt_tokens, event.usage.completion_tokens, cost.value_or(0));
    stream_->EndWith(std::move(response), grpc::Status::OK);
  }

  void OnError(const BackendError& event) override {
    spdlog::info("generation {} failed: {}", LogName(request_id_), ErrorKindName(event.kind));
    stream_->End(stream_->ReasonOf(ToGrpc(event)));
  }

 private:
  static void AddDetails(const std::vector<TokenStats>& tokens,
                         v1::GenerateResponse::Delta* delta) {
    for (const TokenStats& token : tokens) {
      v1::GenerateResponse::TokenDetail* detail = delta->add_tokens();
      detail->set_id(token.id);
      detail->set_logprob(token.logprob);
      detail->set_entropy(token.entropy);
      detail->set_margin(token.margin);
    }
  }

  const std::shared_ptr<GenerateStream> stream_;
  const std::string request_id_;
  const bool token_details_;
  const Bill bill_;
  const absl::Time begin_;
  std::optional<absl::Time> prefilled_;
};

grpc::ServerUnaryReactor* Done(grpc::CallbackServerContext* context, const grpc::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

}  // namespace

bool InferenceService::Serves(const std::string& model) const {
  if (model.empty() || model == model_) return true;
  const CatalogueModel* known = FindModel(model);
  return known != nullptr && known == FindModel(model_);
}

grpc::ServerWriteReactor<v1::GenerateResponse>* InferenceService::Generate(
    grpc::CallbackServerContext* context, const v1::GenerateRequest* request) {
  std::shared_ptr<GenerateStream> stream = GenerateStream::Make(context, &JoinDeltas);
  auto ticket = options_.calls->Admit();
  if (!ticket.ok()) {
    stream->End(Refusal(context, ticket.status()));
    return stream.get();
  }
  stream->Hold(*std::move(ticket));
  if (!Serves(request->model())) {
    stream->End(grpc::Status(grpc::StatusCode::NOT_FOUND,
                             absl::StrCat("this server runs ", model_, " and nothing else")));
    return stream.get();
  }
  absl::StatusOr<BackendRequest> backend_request = ToBackendRequest(*request);
  if (!backend_request.ok()) {
    stream->End(ToGrpc(backend_request.status()));
    return stream.get();
  }
  const absl::Time deadline = DeadlineOf(context->deadline(), absl::Now(), options_.limits);
  stream->EndBy(deadline);
  auto sink = std::make_shared<StreamSink>(
      stream, *request, Bill{options_.input_usd_per_mtok, options_.output_usd_per_mtok});
  std::shared_ptr<BackendCall> call =
      options_.backend->Start(*std::move(backend_request), deadline, std::move(sink));
  // Keeps the call, too: dropping it would cancel it.
  stream->OnGone([call = std::move(call)] { call->Cancel(); });
  return stream.get();
}

grpc::ServerUnaryReactor* InferenceService::GetModel(grpc::CallbackServerContext* context,
                                                     const v1::GetModelRequest*,
                                                     v1::GetModelResponse* response) {
  const ModelInfo& info = options_.engine->info();
  response->set_model(model_);
  response->set_fingerprint(info.fingerprint);
  response->set_architecture(info.architecture);
  response->set_quantization(info.quantization);
  response->set_template_name(info.template_name);
  response->set_context_tokens(info.context_tokens);
  response->mutable_price()->set_input_usd_per_mtok(options_.input_usd_per_mtok);
  response->mutable_price()->set_output_usd_per_mtok(options_.output_usd_per_mtok);
  return Done(context, grpc::Status::OK);
}

grpc::ServerUnaryReactor* InferenceService::CountTokens(grpc::CallbackServerContext* context,
                                                        const v1::CountTokensRequest* request,
                                                        v1::CountTokensResponse* response) {
  return UnaryCall::Run(context, options_.calls, [&](UnaryCall* call) {
    std::vector<ChatTurn> turns;
    int64_t bytes = static_cast<int64_t>(request->assistant_prefix().size());
    for (const v1::ChatMessage& message : request->messages()) {
      bytes += static_cast<int64_t>(message.content().size());
      turns.push_back({message.role(), message.content()});
    }
    const ModelInfo& model = options_.engine->info();
    if (CannotFit(bytes, model)) {
      return call->Finish(
          grpc::Status(grpc::StatusCode::OUT_OF_RANGE,
                       absl::StrCat("messages: ", bytes, " bytes are more than the context's ",
                                    model.context_tokens, " tokens can hold; send less")));
    }
    const auto ids = options_.engine->TokenizeChat(turns, request->assistant_prefix());
    if (ids.ok()) response->set_tokens(static_cast<int64_t>(ids->size()));
    call->Finish(ToGrpc(ids.status()));
  });
}

}  // namespace nearfar::daemon
