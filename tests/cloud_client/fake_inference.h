// A far side on loopback whose answers a test writes, and a sink that waits for the end of a call.

#ifndef NEARFAR_TESTS_CLOUD_CLIENT_FAKE_INFERENCE_H_
#define NEARFAR_TESTS_CLOUD_CLIENT_FAKE_INFERENCE_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "cloud_client/cloud_client.h"
#include "nearfar/v1/inference.grpc.pb.h"

namespace nearfar::testing {

using GenerateWriter = grpc::ServerWriter<v1::GenerateResponse>;

inline v1::GenerateResponse StartedMessage(const std::string& model = "fake",
                                           const std::string& fingerprint = "f1") {
  v1::GenerateResponse response;
  response.mutable_started()->set_model(model);
  response.mutable_started()->set_fingerprint(fingerprint);
  response.mutable_started()->set_prompt_tokens(7);
  return response;
}

inline v1::GenerateResponse DeltaMessage(const std::string& text) {
  v1::GenerateResponse response;
  response.mutable_delta()->set_text(text);
  return response;
}

inline v1::GenerateResponse FinishedMessage(std::optional<double> cost = std::nullopt) {
  v1::GenerateResponse response;
  response.mutable_finished()->set_reason(v1::FINISH_REASON_STOP);
  response.mutable_finished()->mutable_usage()->set_prompt_tokens(7);
  response.mutable_finished()->mutable_usage()->set_completion_tokens(3);
  if (cost) response.mutable_finished()->set_cost_usd(*cost);
  return response;
}

class FakeInference : public v1::InferenceService::Service {
 public:
  using Script = std::function<grpc::Status(grpc::ServerContext*, const v1::GenerateRequest&,
                                            GenerateWriter*)>;

  explicit FakeInference(Script script, std::shared_ptr<grpc::ServerCredentials> credentials =
                                            grpc::InsecureServerCredentials())
      : script_(std::move(script)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", credentials, &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeInference() override { server_->Shutdown(std::chrono::system_clock::now()); }

  grpc::Status Generate(grpc::ServerContext* context, const v1::GenerateRequest* request,
                        GenerateWriter* writer) override {
    ++calls;
    return script_(context, *request, writer);
  }
  grpc::Status GetModel(grpc::ServerContext* context, const v1::GetModelRequest*,
                        v1::GetModelResponse* response) override {
    const auto& metadata = context->client_metadata();
    auto it = metadata.find("authorization");
    if (it != metadata.end()) authorization = std::string(it->second.data(), it->second.size());
    response->set_model("fake");
    response->set_fingerprint("f1");
    response->set_quantization("Q4_K");
    response->set_context_tokens(2048);
    response->mutable_price()->set_output_usd_per_mtok(2);
    return grpc::Status::OK;
  }

  // Serves a connection that somebody else took; the server's from here on.
  void Adopt(int fd) { grpc::AddInsecureChannelFromFd(server_.get(), fd); }

  std::string target() const { return absl::StrCat("dns:///127.0.0.1:", port_); }
  int port() const { return port_; }

  std::atomic<int> calls{0};
  std::string authorization;

 private:
  Script script_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

class WaitingSink : public CloudSink {
 public:
  void OnStarted(const CloudStarted& event) override { started = event; }
  void OnDelta(const std::string& delta) override {
    text += delta;
    if (++deltas == 1) first_delta.Notify();
  }
  void OnFinished(const CloudFinished& event) override {
    finished = event;
    End();
  }
  void OnError(const CloudError& event) override {
    error = event;
    End();
  }
  WaitingSink& Wait() {
    over.WaitForNotification();
    return *this;
  }

  std::optional<CloudStarted> started;
  std::string text;
  int deltas = 0;
  std::optional<CloudFinished> finished;
  std::optional<CloudError> error;
  std::atomic<int> terminals{0};
  absl::Notification first_delta;
  absl::Notification over;

 private:
  void End() {
    if (++terminals == 1) over.Notify();
  }
};

inline CloudRequest Ask(const std::string& text) {
  CloudRequest request;
  request.request_id = "r1";
  request.messages = {{"user", text}};
  request.max_tokens = 16;
  return request;
}

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_CLOUD_CLIENT_FAKE_INFERENCE_H_
