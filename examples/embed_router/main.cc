// Embeds the router in an application: one engine, the far sides of a policy file, one question.
//
//   embed_router MODEL.gguf POLICY.yaml QUESTION

#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "local_engine/engine.h"
#include "policies/policy.h"
#include "policies/policy_file.h"
#include "router/far_sides.h"
#include "router/ledger.h"
#include "router/local_backend.h"
#include "router/router.h"

namespace {

// Hears one answer. Events come from the router's threads, one at a time.
class PrintingSink : public nearfar::EventSink {
 public:
  void OnStarted(const nearfar::Started& event) override {
    std::fprintf(stderr, "[%s: %s]\n", nearfar::RouteName(event.decision.route),
                 nearfar::ReasonName(event.decision.reason));
  }
  void OnDelta(const nearfar::Delta& event) override {
    std::fputs(event.text.c_str(), stdout);
    std::fflush(stdout);
  }
  void OnFinished(const nearfar::Finished& event) override {
    std::fprintf(stderr, "\n[answered by %s in %.2f s for $%.6f]\n", event.source.c_str(),
                 absl::ToDoubleSeconds(event.elapsed), event.cost_usd);
    done_.Notify();
  }
  void OnFailed(const nearfar::Failed& event) override {
    status_ = event.status;
    done_.Notify();
  }

  absl::Status Wait() {
    done_.WaitForNotification();
    return status_;
  }

 private:
  absl::Status status_;
  absl::Notification done_;
};

absl::StatusOr<std::unique_ptr<nearfar::Router>> MakeRouter(const std::string& model,
                                                            const std::string& policy_file) {
  auto config = nearfar::LoadPolicyFile(policy_file);
  if (!config.ok()) return config.status();
  auto policy = nearfar::MakePolicy(*config);
  if (!policy.ok()) return policy.status();
  auto engine = nearfar::Engine::Open(model, {});
  if (!engine.ok()) return engine.status();
  auto far = nearfar::MakeFarSides(*config);
  if (!far.ok()) return far.status();
  // A budget that forgets at the end of the program; a real application names a file.
  auto ledger = nearfar::Ledger::Open({.path = ":memory:", .limit_usd = config->budget.limit_usd});
  if (!ledger.ok()) return ledger.status();

  nearfar::RouterOptions options;
  options.policy = *policy;
  options.near = nearfar::MakeLocalBackend(*engine);
  options.far = nearfar::BackendsOf(*far, *config);
  options.ledger = *std::move(ledger);
  return nearfar::Router::Create(std::move(options));
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "embed_router: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: embed_router MODEL.gguf POLICY.yaml QUESTION\n");
    return 64;
  }
  auto router = MakeRouter(argv[1], argv[2]);
  if (!router.ok()) return Fail(router.status());

  nearfar::Query query;
  query.messages = {{"user", argv[3]}};
  query.max_tokens = 64;
  auto sink = std::make_shared<PrintingSink>();
  const auto call = (*router)->Start(query, sink);
  const absl::Status status = sink->Wait();
  return status.ok() ? 0 : Fail(status);
}
