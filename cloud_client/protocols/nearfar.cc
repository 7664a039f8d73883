#include "cloud_client/protocols/nearfar.h"

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cloud_client/protocols/answer_bounds.h"
#include "cloud_client/protocols/grpc_error.h"
#include "cloud_client/protocols/text_check.h"
#include "cloud_client/stub/channel.h"
#include "cloud_client/stub/timer.h"
#include "nearfar/v1/inference.grpc.pb.h"

namespace nearfar {
namespace {

// How long a finished answer waits for the stream's end, which has nothing more to tell.
constexpr absl::Duration kEndPatience = absl::Seconds(1);

v1::GenerateRequest ToProto(const CloudRequest& call, const std::string& model) {
  v1::GenerateRequest request;
  request.set_request_id(call.request_id);
  request.set_model(model);
  for (const CloudMessage& message : call.messages) {
    v1::ChatMessage* out = request.add_messages();
    out->set_role(message.role);
    out->set_content(message.content);
  }
  v1::Sampling* sampling = request.mutable_sampling();
  sampling->set_temperature(call.temperature);
  sampling->set_top_k(call.top_k);
  sampling->set_top_p(call.top_p);
  sampling->set_min_p(call.min_p);
  sampling->set_repetition_penalty(call.repetition_penalty);
  sampling->set_seed(call.seed);
  request.set_max_tokens(call.max_tokens);
  for (const std::string& stop : call.stop) request.add_stop(stop);
  if (call.json) request.set_format(v1::RESPONSE_FORMAT_JSON);
  request.set_session_key(call.session_key);
  request.set_assistant_prefix(call.assistant_prefix);
  return request;
}

// Why this request must not be sent; empty = it may.
std::string RequestFault(const CloudRequest& call) {
  for (const CloudMessage& message : call.messages) {
    if (!IsValidUtf8(message.role) || !IsValidUtf8(message.content)) {
      return "a message is not valid UTF-8";
    }
  }
  for (const std::string& stop : call.stop) {
    if (!IsValidUtf8(stop)) return "a stop string is not valid UTF-8";
  }
  if (!IsValidUtf8(call.assistant_prefix)) return "the assistant's prefix is not valid UTF-8";
  if (!IsValidUtf8(call.session_key) || !IsValidUtf8(call.request_id)) {
    return "the session key or request id is not valid UTF-8";
  }
  return "";
}

std::optional<CloudFinishReason> ReasonOf(v1::FinishReason reason) {
  switch (reason) {
    case v1::FINISH_REASON_STOP:
      return CloudFinishReason::kStop;
    case v1::FINISH_REASON_LENGTH:
      return CloudFinishReason::kLength;
    case v1::FINISH_REASON_CONTENT_FILTER:
      return CloudFinishReason::kContentFilter;
    case v1::FINISH_REASON_TOOL_CALLS:
      return CloudFinishReason::kToolCalls;
    default:
      return std::nullopt;
  }
}

// Why this usage is none; empty = it is one.
std::string UsageFault(const v1::Usage& usage, const AnswerBounds& bounds) {
  if (usage.prompt_tokens() < 0 || usage.completion_tokens() < 0 ||
      usage.cached_prompt_tokens() < 0) {
    return "finished with negative usage";
  }
  if (usage.prompt_tokens() > bounds.prompt_tokens ||
      usage.cached_prompt_tokens() > bounds.prompt_tokens ||
      usage.completion_tokens() > bounds.completion_tokens) {
    return "finished with more usage than the request allows";
  }
  return "";
}

// Why this finish is not one; empty = it is.
std::string FinishFault(const v1::GenerateResponse::Finished& finished,
                        const AnswerBounds& bounds) {
  if (!ReasonOf(finished.reason())) return "finished without a reason";
  if (!finished.has_usage()) return "finished without usage";
  std::string fault = UsageFault(finished.usage(), bounds);
  if (!fault.empty() || !finished.has_cost_usd()) return fault;
  if (!(std::isfinite(finished.cost_usd()) && finished.cost_usd() >= 0)) {
    return "finished with a bill that is not an amount";
  }
  if (finished.cost_usd() > bounds.bill_usd) return "finished with a bill that no such call has";
  return "";
}

// `fewest_tokens`: that the streamed text must have.
CloudFinished FromProto(const v1::GenerateResponse::Finished& finished, int64_t fewest_tokens) {
  CloudFinished out;
  out.reason = *ReasonOf(finished.reason());
  if (finished.has_cost_usd()) out.bill_usd = finished.cost_usd();
  const v1::Usage& usage = finished.usage();
  // A prompt has tokens, and so has a text; usage that says less tells nothing.
  if (usage.prompt_tokens() == 0 || usage.completion_tokens() < fewest_tokens) return out;
  out.prompt_tokens = usage.prompt_tokens();
  out.completion_tokens = usage.completion_tokens();
  out.cached_prompt_tokens = usage.cached_prompt_tokens();
  return out;
}

std::string NameFault(const std::string& model, const std::string& fingerprint,
                      const std::string& quantization = "") {
  const size_t longest = std::max({model.size(), fingerprint.size(), quantization.size()});
  if (longest <= kLongestName) return "";
  return absl::StrCat("a model's name, fingerprint or quantization of ", longest, " bytes");
}

void SetContext(const StubRequest& request, grpc::ClientContext* context) {
  if (request.deadline != absl::InfiniteFuture()) {
    context->set_deadline(absl::ToChronoTime(request.deadline));
  }
  for (const auto& [key, value] : request.metadata) context->AddMetadata(key, value);
}

constexpr char kGenerateMethod[] = "/nearfar.v1.InferenceService/Generate";

// What all calls of one target share.
struct Wiring {
  std::shared_ptr<grpc::Channel> channel;
  absl::Duration connect_patience;
  std::function<void(absl::Duration, std::function<void()>)> after;
  double input_usd_per_mtok, output_usd_per_mtok;
};

// One streaming call. It reads bytes and parses them itself: under the generated stub a message
// that does not parse looks like the end of the stream, and the stream's real end is then never
// told (gRPC 1.51), so the call would hang until its deadline. gRPC owns it (through self_) from
// Begin to OnDone, which is also the only place that delivers a terminal event.
//
// gRPC queues even a fail-fast call while its channel connects for the first time, for as long as
// that may take; so a call that has no connection yet has a timer of its own. A call that left is
// never touched by it.
class GenerateReactor final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                              public std::enable_shared_from_this<GenerateReactor> {
 public:
  GenerateReactor(std::shared_ptr<const Wiring> wiring, const StubRequest& request,
                  const v1::GenerateRequest& proto, std::shared_ptr<StubSink> sink)
      : wiring_(std::move(wiring)),
        stub_(wiring_->channel),
        sink_(std::move(sink)),
        answer_may_be_empty_(!request.call.assistant_prefix.empty() || !request.call.stop.empty()),
        bounds_(BoundsOf(request.call, wiring_->input_usd_per_mtok, wiring_->output_usd_per_mtok)) {
    SetContext(request, &context_);
    bool own_buffer = false;
    // Fails only for messages of 2 GiB and more, which MakeStub's cap excludes.
    (void)grpc::SerializationTraits<v1::GenerateRequest>::Serialize(proto, &request_, &own_buffer);
  }

  void Begin() {
    self_ = shared_from_this();
    stub_.PrepareBidiStreamingCall(&context_, kGenerateMethod, grpc::StubOptions(), this);
    StartWriteLast(&request_, grpc::WriteOptions());
    StartRead(&response_);
    const bool connected = SeesConnection(/*connect=*/true);
    StartCall();
    if (!connected) After(wiring_->connect_patience, &GenerateReactor::GiveUpConnecting);
  }

  void Cancel() {
    cancelled_.store(true, std::memory_order_relaxed);
    context_.TryCancel();
  }

 private:
  void After(absl::Duration delay, void (GenerateReactor::*act)()) {
    wiring_->after(delay, [weak = weak_from_this(), act] {
      if (auto self = weak.lock()) (*self.*act)();
    });
  }

  // Whether the request may be under way: remembers it once there is a connection.
  bool SeesConnection(bool connect) {
    if (wiring_->channel->GetState(connect) == GRPC_CHANNEL_READY) left_ = true;
    return left_;
  }

  void GiveUpConnecting() {
    if (SeesConnection(/*connect=*/false)) return;
    gave_up_ = true;
    context_.TryCancel();
  }

  void EndFinished() { context_.TryCancel(); }

  void OnWriteDone(bool ok) override {
    if (ok) left_ = true;
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;  // OnDone tells why
    fault_ = TakeBytes();
    if (!fault_.empty()) {
      context_.TryCancel();
      return;
    }
    StartRead(&response_);
  }

  void OnDone(const grpc::Status& status) override {
    Deliver(status);
    sink_.reset();
    self_.reset();  // may delete this
  }

  // Handle one message; return what is wrong with it.
  std::string TakeBytes() {
    v1::GenerateResponse response;
    const bool parsed =
        grpc::SerializationTraits<v1::GenerateResponse>::Deserialize(&response_, &response).ok();
    return parsed ? Take(response) : "bytes that are not an event, or text that is not valid UTF-8";
  }

  std::string Take(const v1::GenerateResponse& response) {
    if (finished_) return "an event after the finish";
    if (++events_ > bounds_.events) return "more events than max_tokens can need";
    switch (response.event_case()) {
      case v1::GenerateResponse::kStarted:
        return TakeStarted(response.started());
      case v1::GenerateResponse::kDelta:
        return TakeDelta(response.delta());
      case v1::GenerateResponse::kFinished:
        return TakeFinished(response.finished());
      case v1::GenerateResponse::EVENT_NOT_SET:
        return "";  // an event of a later version; nothing that we know of was said
    }
    return "";
  }

  std::string TakeStarted(const v1::GenerateResponse::Started& started) {
    if (started_) return "started twice";
    if (started.prompt_tokens() < 0) return "started with negative usage";
    if (started.prompt_tokens() > bounds_.prompt_tokens) {
      return "started with more prompt tokens than the request can have";
    }
    std::string fault = NameFault(started.model(), started.fingerprint());
    if (!fault.empty()) return fault;
    started_ = true;
    CloudStarted event;
    event.model = started.model();
    event.fingerprint = started.fingerprint();
    event.prompt_tokens = started.prompt_tokens();
    sink_->OnStarted(event);
    return "";
  }

  std::string TakeDelta(const v1::GenerateResponse::Delta& delta) {
    if (!started_) return "a delta before the start";
    if (delta.text().empty()) return "";
    if (!IsValidUtf8(delta.text())) return "text that is not valid UTF-8";
    text_bytes_ += static_cast<int64_t>(delta.text().size());
    if (text_bytes_ > bounds_.text_bytes) return "more text than max_tokens can hold";
    ++pieces_;
    sink_->OnDelta(delta.text());
    return "";
  }

  std::string TakeFinished(const v1::GenerateResponse::Finished& finished) {
    if (!started_) return "finished before the start";
    std::string fault = FinishFault(finished, bounds_);
    if (!fault.empty()) return fault;
    if (pieces_ == 0 && !answer_may_be_empty_ && finished.reason() == v1::FINISH_REASON_STOP) {
      return "finished without an answer";
    }
    finished_ = FromProto(finished, FewestTokens(pieces_, text_bytes_));
    After(kEndPatience, &GenerateReactor::EndFinished);
    return "";
  }

  void Deliver(const grpc::Status& status) {
    CallProgress progress;
    progress.delivered = started_;
    progress.left =
        started_ || SeesConnection(/*connect=*/false) || MayHaveLeft(status, context_.peer());
    progress.cancelled = cancelled_.load(std::memory_order_relaxed);
    if (!fault_.empty()) return sink_->OnError(ProtocolError(fault_, progress));
    if (finished_ && EndsFinished(status)) return sink_->OnFinished(*finished_);
    if (finished_) return sink_->OnError(ProtocolError("an error after the finish", progress));
    if (status.ok()) return sink_->OnError(ProtocolError("the stream ended early", progress));
    if (gave_up_ && !progress.left && !progress.cancelled) {
      return sink_->OnError(NotConnected(wiring_->connect_patience));
    }
    sink_->OnError(TranslateGrpcError(status, context_.GetServerTrailingMetadata(), progress));
  }

  // The answer is whole and on the bill; that the connection broke just behind it changes nothing.
  static bool EndsFinished(const grpc::Status& status) {
    switch (status.error_code()) {
      case grpc::StatusCode::OK:
      case grpc::StatusCode::CANCELLED:
      case grpc::StatusCode::UNAVAILABLE:
      case grpc::StatusCode::DEADLINE_EXCEEDED:
        return true;
      default:
        return false;
    }
  }

  const std::shared_ptr<const Wiring> wiring_;
  grpc::GenericStub stub_;
  std::shared_ptr<StubSink> sink_;
  std::shared_ptr<GenerateReactor> self_;
  grpc::ClientContext context_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
  const bool answer_may_be_empty_;
  const AnswerBounds bounds_;
  int64_t events_ = 0;
  int64_t pieces_ = 0;  // of text
  int64_t text_bytes_ = 0;
  bool started_ = false;
  std::optional<CloudFinished> finished_;
  std::string fault_;
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> left_{false};     // it was written, or there was a connection
  std::atomic<bool> gave_up_{false};  // no connection came in time
};

class GenerateHandle final : public CloudCall {
 public:
  explicit GenerateHandle(std::shared_ptr<GenerateReactor> reactor)
      : reactor_(std::move(reactor)) {}
  ~GenerateHandle() override { reactor_->Cancel(); }
  void Cancel() override { reactor_->Cancel(); }

 private:
  const std::shared_ptr<GenerateReactor> reactor_;
};

class NoCall final : public CloudCall {
 public:
  void Cancel() override {}
};

class NearfarProtocol final : public CloudStub {
 public:
  NearfarProtocol(std::shared_ptr<grpc::Channel> channel, const CloudOptions& options)
      : wiring_(std::make_shared<Wiring>(Wiring{std::move(channel), options.connect_patience,
                                                TimerOf(options), options.input_usd_per_mtok,
                                                options.output_usd_per_mtok})),
        model_(options.model),
        max_message_bytes_(options.max_message_bytes) {}

  std::unique_ptr<CloudCall> Start(const StubRequest& request,
                                   std::shared_ptr<StubSink> sink) override {
    const std::string fault = RequestFault(request.call);
    if (!fault.empty()) return Refuse(CloudErrorKind::kBadRequest, fault, *sink);
    const v1::GenerateRequest proto = ToProto(request.call, model_);
    if (static_cast<int64_t>(proto.ByteSizeLong()) > max_message_bytes_) {
      return Refuse(CloudErrorKind::kContextTooLong,
                    absl::StrCat("the conversation is longer than the ", max_message_bytes_,
                                 " bytes that one message may have"),
                    *sink);
    }
    auto reactor = std::make_shared<GenerateReactor>(wiring_, request, proto, std::move(sink));
    reactor->Begin();
    return std::make_unique<GenerateHandle>(std::move(reactor));
  }

  absl::StatusOr<CloudModel> GetModel(const StubRequest& request) override {
    grpc::ClientContext context;
    SetContext(request, &context);
    v1::GetModelResponse response;
    const grpc::Status status = v1::InferenceService::NewStub(wiring_->channel)
                                    ->GetModel(&context, v1::GetModelRequest(), &response);
    if (!status.ok()) return StatusOfGrpc(status);
    const std::string fault =
        NameFault(response.model(), response.fingerprint(), response.quantization());
    if (!fault.empty()) {
      return absl::InternalError(absl::StrCat("the server broke the protocol: ", fault));
    }
    CloudModel model;
    model.model = response.model();
    model.fingerprint = response.fingerprint();
    model.quantization = response.quantization();
    model.context_tokens = response.context_tokens();
    model.input_usd_per_mtok = response.price().input_usd_per_mtok();
    model.output_usd_per_mtok = response.price().output_usd_per_mtok();
    return model;
  }

 private:
  static std::unique_ptr<CloudCall> Refuse(CloudErrorKind kind, const std::string& why,
                                           StubSink& sink) {
    StubError error;
    error.error.kind = kind;
    error.error.message = why;
    error.error.nothing_sent = true;
    error.answered = true;  // says nothing about the server
    sink.OnError(error);
    return std::make_unique<NoCall>();
  }

  const std::shared_ptr<const Wiring> wiring_;
  const std::string model_;
  const int64_t max_message_bytes_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<CloudStub>> MakeNearfarProtocol(const CloudOptions& options) {
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = MakeChannel(options);
  if (!channel.ok()) return channel.status();
  return std::make_shared<NearfarProtocol>(*std::move(channel), options);
}

}  // namespace nearfar
