#include "router/tuning/collect.h"

#include <memory>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "policies/estimators/draft_features.h"
#include "router/tuning/grading.h"

namespace nearfar {
namespace {

// Gathers one answer; the asking thread waits on it.
class Gatherer : public BackendSink {
 public:
  Gatherer(const CollectOptions& options, bool with_features)
      : options_(options), with_features_(with_features), features_(options.max_tokens) {}

  void OnDelta(const BackendDelta& event) override {
    absl::MutexLock lock(&mutex_);
    outcome_.text += event.text;
    if (!with_features_) return;
    for (size_t i = 0; i < event.tokens.size(); ++i) {
      const TokenStats& token = event.tokens[i];
      features_.Add(token.id, token.logprob, token.entropy, token.margin,
                    i + 1 == event.tokens.size() ? event.text : "");
      if (features_.tokens() % options_.check_every_tokens == 0) {
        outcome_.prefixes.push_back(features_.Values(/*finished=*/false, /*hit_limit=*/false));
      }
    }
  }

  void OnFinished(const BackendFinished& event) override {
    absl::MutexLock lock(&mutex_);
    outcome_.tokens = static_cast<int>(event.usage.completion_tokens);
    outcome_.usd = event.cost_usd.value_or(0);
    if (with_features_) {
      outcome_.features =
          features_.Values(/*finished=*/true, event.reason == FinishReason::kLength);
    }
    done_ = true;
  }

  void OnError(const BackendError& event) override {
    absl::MutexLock lock(&mutex_);
    status_ = event.status;
    done_ = true;
  }

  absl::StatusOr<SideOutcome> Wait() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&done_));
    if (!status_.ok()) return status_;
    return outcome_;
  }

 private:
  const CollectOptions options_;
  const bool with_features_;
  absl::Mutex mutex_;
  DraftFeatures features_ ABSL_GUARDED_BY(mutex_);
  SideOutcome outcome_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

absl::StatusOr<SideOutcome> AskSide(Backend& side, const Question& question,
                                    const CollectOptions& options, bool with_features) {
  BackendRequest request;
  request.request_id = question.id;
  request.messages = {{"user", question.text}};
  request.max_tokens = options.max_tokens;
  auto sink = std::make_shared<Gatherer>(options, with_features);
  const absl::Time start = absl::Now();
  const std::unique_ptr<BackendCall> call =
      side.Start(std::move(request), start + options.timeout, sink);
  absl::StatusOr<SideOutcome> outcome = sink->Wait();
  if (!outcome.ok()) return outcome;
  const BackendDescription description = side.Describe();
  outcome->seconds = absl::ToDoubleSeconds(absl::Now() - start);
  outcome->name = description.model;
  outcome->score = Grade(question, outcome->text);
  return outcome;
}

}  // namespace nearfar
