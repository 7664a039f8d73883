// A side that says what a test wants, when the test wants it: no model, no network, no waiting.
// Calls are kept and stepped by hand (Say, Finish, Fail), or answered by a script when they start.
// A step may break the contract of backend.h on purpose: end twice, speak after the end, never end.

#ifndef NEARFAR_TESTS_TESTING_FAKE_BACKEND_H_
#define NEARFAR_TESTS_TESTING_FAKE_BACKEND_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "router/backend.h"

namespace nearfar::testing {

// Thread-safe.
class FakeCall {
 public:
  FakeCall(BackendRequest request, absl::Time deadline, std::shared_ptr<BackendSink> sink);

  const BackendRequest& request() const { return request_; }
  absl::Time deadline() const { return deadline_; }
  bool cancelled() const;
  bool abandoned() const;  // cancelled as too slow
  bool released() const;   // the call's handle is gone

  // One delta; with one token of these statistics unless `tokens` is 0.
  FakeCall& Say(const std::string& text, int tokens = 1, double logprob = -0.1);
  // A text word by word: "a b c" as "a", " b", " c".
  FakeCall& SayWords(const std::string& text, double logprob = -0.1);
  FakeCall& Finish(FinishReason reason = FinishReason::kStop,
                   std::optional<double> cost_usd = std::nullopt);
  FakeCall& Fail(absl::Status status, ErrorKind kind = ErrorKind::kUnavailable,
                 bool maybe_billed = false);
  FakeCall& Fail(const BackendError& error);

 private:
  friend class FakeBackend;
  std::shared_ptr<BackendSink> sink() const;

  const BackendRequest request_;
  const absl::Time deadline_;
  mutable absl::Mutex mu_;
  std::shared_ptr<BackendSink> sink_ ABSL_GUARDED_BY(mu_);
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  bool abandoned_ ABSL_GUARDED_BY(mu_) = false;
  bool released_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  int64_t tokens_ ABSL_GUARDED_BY(mu_) = 0;
};

class FakeBackend : public Backend {
 public:
  explicit FakeBackend(std::string name, Continuation continuation = Continuation::kExact);

  // Runs within Start, after the call is kept; empty = the test steps the call.
  std::function<void(FakeCall&)> script;
  // What Cancel does to a call that has not ended: OnError(kCancelled) at once, or nothing at all.
  bool cancel_answers = true;
  bool cancel_bills = true;  // maybe_billed of that error

  BackendDescription description;  // set before the first use
  BackendSpeed measured;
  Health state = Health::kHealthy;

  std::unique_ptr<BackendCall> Start(BackendRequest request, absl::Time deadline,
                                     std::shared_ptr<BackendSink> sink) override;
  BackendDescription Describe() const override { return description; }
  Health health() const override { return state; }
  BackendSpeed speed() const override { return measured; }
  std::optional<int64_t> CountTokens(const std::vector<Message>& messages) const override;

  int calls() const;
  FakeCall& call(int i) const;  // in the order of their start
  FakeCall& last() const { return call(calls() - 1); }

 private:
  mutable absl::Mutex mu_;
  std::vector<std::shared_ptr<FakeCall>> calls_ ABSL_GUARDED_BY(mu_);
};

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_TESTING_FAKE_BACKEND_H_
