// See fake_backend.h.

#include "tests/testing/fake_backend.h"

#include <utility>

namespace nearfar::testing {
namespace {

constexpr int64_t kPromptTokens = 10;

class Handle : public BackendCall {
 public:
  Handle(std::function<void()> cancel, std::function<void()> abandon, std::function<void()> release)
      : cancel_(std::move(cancel)), abandon_(std::move(abandon)), release_(std::move(release)) {}
  ~Handle() override {
    cancel_();
    release_();
  }
  void Cancel() override { cancel_(); }
  void Abandon() override {
    abandon_();
    cancel_();
  }

 private:
  const std::function<void()> cancel_, abandon_, release_;
};

}  // namespace

FakeCall::FakeCall(BackendRequest request, absl::Time deadline, std::shared_ptr<BackendSink> sink)
    : request_(std::move(request)), deadline_(deadline), sink_(std::move(sink)) {}

bool FakeCall::cancelled() const {
  absl::MutexLock hold(&mu_);
  return cancelled_;
}

bool FakeCall::abandoned() const {
  absl::MutexLock hold(&mu_);
  return abandoned_;
}

bool FakeCall::released() const {
  absl::MutexLock hold(&mu_);
  return released_;
}

std::shared_ptr<BackendSink> FakeCall::sink() const {
  absl::MutexLock hold(&mu_);
  return sink_;
}

FakeCall& FakeCall::Say(const std::string& text, int tokens, double logprob) {
  BackendDelta delta;
  delta.text = text;
  const auto p = static_cast<float>(logprob);
  for (int i = 0; i < tokens; ++i) delta.tokens.push_back({i, p, -p, 0.5f});
  {
    absl::MutexLock hold(&mu_);
    tokens_ += tokens;
  }
  sink()->OnDelta(delta);
  return *this;
}

FakeCall& FakeCall::SayWords(const std::string& text, double logprob) {
  size_t from = 0;
  while (from < text.size()) {
    size_t to = text.find(' ', from + 1);
    if (to == std::string::npos) to = text.size();
    Say(text.substr(from, to - from), 1, logprob);
    from = to;
  }
  return *this;
}

FakeCall& FakeCall::Finish(FinishReason reason, std::optional<double> cost_usd) {
  BackendFinished end;
  end.reason = reason;
  end.cost_usd = cost_usd;
  {
    absl::MutexLock hold(&mu_);
    ended_ = true;
    end.usage = {kPromptTokens, tokens_, 0};
  }
  sink()->OnFinished(end);
  return *this;
}

FakeCall& FakeCall::Fail(absl::Status status, ErrorKind kind, bool maybe_billed) {
  return Fail(BackendError{std::move(status), kind, maybe_billed});
}

FakeCall& FakeCall::Fail(const BackendError& error) {
  {
    absl::MutexLock hold(&mu_);
    ended_ = true;
  }
  sink()->OnError(error);
  return *this;
}

FakeBackend::FakeBackend(std::string name, Continuation continuation) {
  description.name = name;
  description.model = name + "-model";
  description.capabilities.continuation = continuation;
}

std::unique_ptr<BackendCall> FakeBackend::Start(BackendRequest request, absl::Time deadline,
                                                std::shared_ptr<BackendSink> sink) {
  auto call = std::make_shared<FakeCall>(std::move(request), deadline, std::move(sink));
  {
    absl::MutexLock hold(&mu_);
    calls_.push_back(call);
  }
  const bool answers = cancel_answers, bills = cancel_bills;
  auto cancel = [call, answers, bills] {
    bool end;
    {
      absl::MutexLock hold(&call->mu_);
      call->cancelled_ |= !call->ended_;
      end = answers && !std::exchange(call->ended_, call->ended_ || answers);
    }
    if (end) call->Fail(absl::CancelledError("cancelled"), ErrorKind::kCancelled, bills);
  };
  auto abandon = [call] {
    absl::MutexLock hold(&call->mu_);
    call->abandoned_ |= !call->ended_;
  };
  auto release = [call] {
    absl::MutexLock hold(&call->mu_);
    call->released_ = true;
  };
  auto handle = std::make_unique<Handle>(cancel, abandon, release);
  if (script) script(*call);
  return handle;
}

std::optional<int64_t> FakeBackend::CountTokens(const std::vector<Message>& messages) const {
  int64_t bytes = 0;
  for (const Message& message : messages) bytes += static_cast<int64_t>(message.content.size());
  return bytes / 4 + 1;
}

int FakeBackend::calls() const {
  absl::MutexLock hold(&mu_);
  return static_cast<int>(calls_.size());
}

FakeCall& FakeBackend::call(int i) const {
  absl::MutexLock hold(&mu_);
  return *calls_.at(i);
}

}  // namespace nearfar::testing
