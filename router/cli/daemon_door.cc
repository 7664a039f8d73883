// The door to a running nearfard: RouterService over gRPC. What is wrong with a query by itself is
// told before anything is sent, in the words of the router in this process.

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nearfar/v1/router.grpc.pb.h"
#include "router/cli/answer_door.h"
#include "router/cli/daemon_channel.h"
#include "router/cli/wire.h"
#include "router/internal/check_query.h"

namespace nearfar::cli {
namespace {

// A call that had ended before it began.
class EndedCall : public RouterCall {
 public:
  void Cancel() override {}
};

// One call: a thread reads the stream and hands events on.
class DaemonCall : public RouterCall {
 public:
  DaemonCall(nearfar::v1::RouterService::Stub* stub, std::string address, Query query,
             std::shared_ptr<EventSink> sink)
      : stub_(stub), address_(std::move(address)), sink_(std::move(sink)) {
    if (query.deadline != absl::InfiniteFuture()) {
      context_.set_deadline(absl::ToChronoTime(query.deadline));
    }
    request_ = ToWire(query);
    thread_ = std::thread([this] { Read(); });
  }
  ~DaemonCall() override { thread_.join(); }

  void Cancel() override { context_.TryCancel(); }

 private:
  void Read() {
    failed_.status = absl::InternalError("the daemon ended the stream without a result");
    auto reader = stub_->Generate(&context_, request_);
    nearfar::v1::RoutedResponse response;
    while (reader->Read(&response)) Handle(response);
    const grpc::Status finish = reader->Finish();
    if (finished_) return;
    const absl::Status status = StatusOfCall(finish, context_, address_, heard_);
    if (!status.ok()) failed_.status = status;
    sink_->OnFailed(failed_);
  }

  void Handle(const nearfar::v1::RoutedResponse& response) {
    heard_ = response.has_failed() ? DaemonAnswer::kEnded : DaemonAnswer::kBegun;
    switch (response.event_case()) {
      case nearfar::v1::RoutedResponse::kStarted:
        failed_.decision = FromWire(response.started().decision());
        sink_->OnStarted({response.started().request_id(), failed_.decision});
        return;
      case nearfar::v1::RoutedResponse::kDelta:
        text_ += response.delta().text();
        sink_->OnDelta({response.delta().text(), response.delta().source()});
        return;
      case nearfar::v1::RoutedResponse::kRetract:
        text_.resize(std::min<size_t>(text_.size(), response.retract().from()));
        sink_->OnRetract({response.retract().from()});
        return;
      case nearfar::v1::RoutedResponse::kFinished:
        finished_ = true;
        sink_->OnFinished(FromWire(response.finished(), text_));
        return;
      case nearfar::v1::RoutedResponse::kFailed:
        failed_.status = absl::UnknownError(response.failed().message());
        failed_.decision = FromWire(response.failed().decision());
        failed_.cost_usd = response.failed().cost_usd();
        return;
      case nearfar::v1::RoutedResponse::EVENT_NOT_SET:
        return;
    }
  }

  nearfar::v1::RouterService::Stub* stub_;
  std::string address_;
  std::shared_ptr<EventSink> sink_;
  grpc::ClientContext context_;
  nearfar::v1::RoutedRequest request_;
  // What to report where no result comes; the stream's own status goes before its status.
  Failed failed_;
  std::string text_;
  DaemonAnswer heard_ = DaemonAnswer::kNone;
  bool finished_ = false;
  std::thread thread_;  // last: it uses what stands above
};

class DaemonDoor : public AnswerDoor {
 public:
  DaemonDoor(std::string address, std::shared_ptr<grpc::Channel> channel)
      : address_(std::move(address)),
        stub_(nearfar::v1::RouterService::NewStub(std::move(channel))) {}

  std::shared_ptr<RouterCall> Start(Query query, std::shared_ptr<EventSink> sink) override {
    // A text that is no text (UTF-8) cannot cross: it would come back without a reason.
    if (absl::Status checked = internal::CheckQuery(query); !checked.ok()) {
      sink->OnFailed({std::move(checked), {}, 0});
      return std::make_shared<EndedCall>();
    }
    return std::make_shared<DaemonCall>(stub_.get(), address_, std::move(query), std::move(sink));
  }

  absl::StatusOr<Decision> Explain(const Query& query) override {
    if (absl::Status checked = internal::CheckQuery(query); !checked.ok()) return checked;
    const auto explained = CallDaemon(stub_.get(), &Stub::Explain, ToWire(query), address_);
    if (!explained.ok()) return explained.status();
    return FromWire(explained->decision());
  }

  absl::Status ClearTaint(const std::string& session_key) override {
    nearfar::v1::ClearTaintRequest request;
    request.set_session_key(session_key);
    return CallDaemon(stub_.get(), &Stub::ClearTaint, request, address_).status();
  }

  std::string name() const override { return absl::StrCat("daemon ", address_); }

 private:
  using Stub = nearfar::v1::RouterService::Stub;

  std::string address_;
  std::unique_ptr<Stub> stub_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<AnswerDoor>> OpenDaemonDoor(const DaemonFlags& flags) {
  auto channel = OpenDaemonChannel(flags);
  if (!channel.ok()) return channel.status();
  return std::make_unique<DaemonDoor>(flags.address, *std::move(channel));
}

}  // namespace nearfar::cli
