// nearfar.v1.InferenceService over gRPC's callback API: the native protocol, straight on this
// process's model, without any routing. It is what a near nearfar calls as its far side.
// Thread-safe. Held by tests/router/daemon/daemon_test.cc.

#ifndef NEARFAR_ROUTER_DAEMON_INFERENCE_SERVICE_H_
#define NEARFAR_ROUTER_DAEMON_INFERENCE_SERVICE_H_

#include <memory>
#include <string>

#include "local_engine/engine.h"
#include "nearfar/v1/inference.grpc.pb.h"
#include "router/backend.h"
#include "router/daemon/active_calls.h"
#include "router/daemon/call_limits.h"

namespace nearfar::daemon {

struct InferenceServiceOptions {
  std::shared_ptr<Engine> engine;
  std::shared_ptr<Backend> backend;  // over the same engine
  ActiveCalls* calls = nullptr;      // borrowed, outliving the service's server
  CallLimits limits;
  double input_usd_per_mtok = 0;
  double output_usd_per_mtok = 0;
};

class InferenceService final : public v1::InferenceService::CallbackService {
 public:
  explicit InferenceService(InferenceServiceOptions options)
      : options_(std::move(options)), model_(options_.backend->Describe().model) {}

  grpc::ServerWriteReactor<v1::GenerateResponse>* Generate(
      grpc::CallbackServerContext* context, const v1::GenerateRequest* request) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const v1::GetModelRequest* request,
                                     v1::GetModelResponse* response) override;
  grpc::ServerUnaryReactor* CountTokens(grpc::CallbackServerContext* context,
                                        const v1::CountTokensRequest* request,
                                        v1::CountTokensResponse* response) override;

 private:
  bool Serves(const std::string& model) const;

  const InferenceServiceOptions options_;
  const std::string model_;
};

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_INFERENCE_SERVICE_H_
