#include "cloud_client/stub/metering_stub.h"

#include <utility>

namespace nearfar {
namespace {

constexpr double kNewest = 0.3;

void Average(double value, std::optional<double>* average) {
  *average = *average ? **average + kNewest * (value - **average) : value;
}

class MeteringSink final : public StubSink {
 public:
  MeteringSink(std::shared_ptr<Meter> meter, const MeteringOptions& options,
               std::shared_ptr<StubSink> outer, absl::Time deadline)
      : meter_(std::move(meter)),
        options_(options),
        outer_(std::move(outer)),
        limit_(deadline - options.clock()),
        begin_(options.steady()) {}

  void OnStarted(const CloudStarted& event) override {
    meter_->Learn(event);
    outer_->OnStarted(event);
  }

  void OnDelta(const std::string& text) override {
    if (!first_text_) first_text_ = options_.steady();
    outer_->OnDelta(text);
  }

  void OnFinished(const CloudFinished& event) override {
    std::optional<absl::Duration> ttft;
    absl::Duration decode;
    if (first_text_) {
      ttft = *first_text_ - begin_;
      decode = options_.steady() - *first_text_;
      // No call waits longer than it may: such a time was not measured, whatever the clocks did.
      if (*ttft < absl::ZeroDuration() || *ttft > limit_) ttft.reset();
    }
    meter_->Finish(event, ttft, decode);
    outer_->OnFinished(event);
  }

  void OnError(const StubError& event) override {
    meter_->Fail(event.error);
    outer_->OnError(event);
  }

 private:
  const std::shared_ptr<Meter> meter_;
  const MeteringOptions options_;
  const std::shared_ptr<StubSink> outer_;
  const absl::Duration limit_;
  const absl::Time begin_;
  std::optional<absl::Time> first_text_;
};

class MeteringStub final : public CloudStub {
 public:
  MeteringStub(std::shared_ptr<CloudStub> inner, std::shared_ptr<Meter> meter,
               MeteringOptions options)
      : inner_(std::move(inner)), meter_(std::move(meter)), options_(std::move(options)) {}

  std::unique_ptr<CloudCall> Start(const StubRequest& request,
                                   std::shared_ptr<StubSink> sink) override {
    return inner_->Start(request, std::make_shared<MeteringSink>(meter_, options_, std::move(sink),
                                                                 request.deadline));
  }

  absl::StatusOr<CloudModel> GetModel(const StubRequest& request) override {
    absl::StatusOr<CloudModel> model = inner_->GetModel(request);
    if (model.ok()) meter_->Learn(*model);
    return model;
  }

 private:
  const std::shared_ptr<CloudStub> inner_;
  const std::shared_ptr<Meter> meter_;
  const MeteringOptions options_;
};

}  // namespace

void Meter::Finish(const CloudFinished& event, std::optional<absl::Duration> ttft,
                   absl::Duration decode) {
  absl::MutexLock lock(&mutex_);
  ++reading_.calls;
  reading_.last_call_succeeded = true;
  reading_.billed_usd += event.bill_usd.value_or(0);
  if (ttft) Average(absl::ToDoubleSeconds(*ttft), &reading_.ttft_seconds);
  // The first token's time is in ttft.
  if (event.completion_tokens > 1 && decode > absl::ZeroDuration()) {
    Average(static_cast<double>(event.completion_tokens - 1) / absl::ToDoubleSeconds(decode),
            &reading_.tokens_per_second);
  }
}

void Meter::Fail(const CloudError& error) {
  if (error.kind == CloudErrorKind::kBreakerOpen) return;
  absl::MutexLock lock(&mutex_);
  ++reading_.calls;
  if (error.kind == CloudErrorKind::kCancelled) return;
  ++reading_.failures;
  reading_.last_call_succeeded = false;
}

void Meter::Learn(const CloudStarted& event) {
  absl::MutexLock lock(&mutex_);
  if (!reading_.model) reading_.model.emplace();
  // Another model than GetModel told of: its other facts are stale.
  if (reading_.model->fingerprint != event.fingerprint) *reading_.model = CloudModel();
  reading_.model->model = event.model;
  reading_.model->fingerprint = event.fingerprint;
}

void Meter::Learn(const CloudModel& model) {
  absl::MutexLock lock(&mutex_);
  reading_.model = model;
}

MeterReading Meter::Read() const {
  absl::MutexLock lock(&mutex_);
  return reading_;
}

std::shared_ptr<CloudStub> MakeMeteringStub(std::shared_ptr<CloudStub> inner,
                                            std::shared_ptr<Meter> meter, MeteringOptions options) {
  return std::make_shared<MeteringStub>(std::move(inner), std::move(meter), std::move(options));
}

}  // namespace nearfar
