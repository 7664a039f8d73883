// Cloud calls as calls of a backend: the two speak of the same things in their own words.

#include "router/cloud_backend.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace nearfar {
namespace {

ErrorKind KindOf(CloudErrorKind kind) {
  switch (kind) {
    case CloudErrorKind::kUnavailable:
    case CloudErrorKind::kBreakerOpen:
      return ErrorKind::kUnavailable;
    case CloudErrorKind::kDeadline:
      return ErrorKind::kDeadline;
    case CloudErrorKind::kCancelled:
      return ErrorKind::kCancelled;
    case CloudErrorKind::kAuth:
      return ErrorKind::kAuth;
    case CloudErrorKind::kBadRequest:
      return ErrorKind::kBadRequest;
    case CloudErrorKind::kNotFound:
      return ErrorKind::kNotFound;
    case CloudErrorKind::kContextTooLong:
      return ErrorKind::kContextTooLong;
    case CloudErrorKind::kRateLimited:
      return ErrorKind::kRateLimited;
    case CloudErrorKind::kQuota:
      return ErrorKind::kQuota;
    case CloudErrorKind::kContentFiltered:
      return ErrorKind::kContentFiltered;
    case CloudErrorKind::kProtocol:
      return ErrorKind::kProtocol;
    case CloudErrorKind::kInternal:
      return ErrorKind::kInternal;
  }
  return ErrorKind::kInternal;
}

absl::StatusCode CodeOf(CloudErrorKind kind) {
  switch (kind) {
    case CloudErrorKind::kUnavailable:
    case CloudErrorKind::kBreakerOpen:
      return absl::StatusCode::kUnavailable;
    case CloudErrorKind::kDeadline:
      return absl::StatusCode::kDeadlineExceeded;
    case CloudErrorKind::kCancelled:
      return absl::StatusCode::kCancelled;
    case CloudErrorKind::kAuth:
      return absl::StatusCode::kPermissionDenied;
    case CloudErrorKind::kBadRequest:
    case CloudErrorKind::kContextTooLong:
      return absl::StatusCode::kInvalidArgument;
    case CloudErrorKind::kNotFound:
      return absl::StatusCode::kNotFound;
    case CloudErrorKind::kRateLimited:
    case CloudErrorKind::kQuota:
      return absl::StatusCode::kResourceExhausted;
    case CloudErrorKind::kContentFiltered:
      return absl::StatusCode::kFailedPrecondition;
    case CloudErrorKind::kProtocol:
    case CloudErrorKind::kInternal:
      return absl::StatusCode::kInternal;
  }
  return absl::StatusCode::kInternal;
}

FinishReason ReasonOf(CloudFinishReason reason) {
  switch (reason) {
    case CloudFinishReason::kStop:
      return FinishReason::kStop;
    case CloudFinishReason::kLength:
      return FinishReason::kLength;
    case CloudFinishReason::kContentFilter:
      return FinishReason::kContentFilter;
    case CloudFinishReason::kToolCalls:
      return FinishReason::kToolCalls;
  }
  return FinishReason::kStop;
}

Health HealthOf(CloudHealth::State state) {
  switch (state) {
    case CloudHealth::State::kUnknown:
      return Health::kUnknown;
    case CloudHealth::State::kHealthy:
      return Health::kHealthy;
    case CloudHealth::State::kBreakerOpen:
      return Health::kBreakerOpen;
    case CloudHealth::State::kUnreachable:
      return Health::kUnreachable;
  }
  return Health::kUnknown;
}

CloudRequest RequestOf(BackendRequest request) {
  CloudRequest out;
  out.request_id = std::move(request.request_id);
  out.session_key = std::move(request.session_key);
  out.messages.reserve(request.messages.size());
  for (Message& message : request.messages) {
    out.messages.push_back({std::move(message.role), std::move(message.content)});
  }
  out.temperature = request.sampling.temperature;
  out.top_k = request.sampling.top_k;
  out.top_p = request.sampling.top_p;
  out.min_p = request.sampling.min_p;
  out.repetition_penalty = request.sampling.repetition_penalty;
  out.seed = request.sampling.seed;
  out.max_tokens = request.max_tokens;
  out.stop = std::move(request.stop);
  out.json = request.format == ResponseFormat::kJson;
  out.assistant_prefix = std::move(request.assistant_prefix);
  return out;
}

class Sink : public CloudSink {
 public:
  Sink(std::string target, std::shared_ptr<BackendSink> sink)
      : target_(std::move(target)), sink_(std::move(sink)) {}

  void OnStarted(const CloudStarted& event) override {
    sink_->OnStarted({event.model, event.fingerprint, event.prompt_tokens});
  }
  void OnDelta(const std::string& text) override { sink_->OnDelta({text, {}}); }
  void OnFinished(const CloudFinished& event) override {
    BackendFinished end;
    end.reason = ReasonOf(event.reason);
    end.usage = {event.prompt_tokens, event.completion_tokens, event.cached_prompt_tokens};
    end.cost_usd = event.bill_usd;
    sink_->OnFinished(end);
  }
  void OnError(const CloudError& event) override {
    absl::Status status(CodeOf(event.kind),
                        absl::StrCat("far target '", target_, "': ", CloudErrorKindName(event.kind),
                                     ": ", event.message));
    sink_->OnError({std::move(status), KindOf(event.kind), event.maybe_billed, event.nothing_sent});
  }

 private:
  const std::string target_;
  const std::shared_ptr<BackendSink> sink_;
};

class Call : public BackendCall {
 public:
  explicit Call(std::unique_ptr<CloudCall> call) : call_(std::move(call)) {}
  void Cancel() override {
    if (call_) call_->Cancel();
  }
  void Abandon() override {
    if (call_) call_->Abandon();
  }

 private:
  const std::unique_ptr<CloudCall> call_;  // its destruction cancels
};

class CloudBackend : public Backend {
 public:
  CloudBackend(std::shared_ptr<CloudClient> client, FarConfig config)
      : client_(std::move(client)), config_(std::move(config)) {}

  std::unique_ptr<BackendCall> Start(BackendRequest request, absl::Time deadline,
                                     std::shared_ptr<BackendSink> sink) override {
    return std::make_unique<Call>(
        client_->Start(RequestOf(std::move(request)), deadline,
                       std::make_shared<Sink>(config_.name, std::move(sink))));
  }

  BackendDescription Describe() const override {
    BackendDescription description;
    description.name = config_.name;
    description.model = config_.model;
    description.capabilities.context_tokens = config_.context_tokens;
    description.capabilities.json = config_.json;
    // The native protocol hands the prefix to the model as its own words; others only ask for it.
    description.capabilities.continuation =
        config_.protocol == "nearfar" ? Continuation::kExact : Continuation::kInstructed;
    description.input_usd_per_mtok = config_.input_usd_per_mtok.value_or(0);
    description.output_usd_per_mtok = config_.output_usd_per_mtok.value_or(0);
    if (std::optional<CloudModel> known = client_->known_model()) {
      if (!known->model.empty()) description.model = known->model;
      description.binding.fingerprint = known->fingerprint;
      description.binding.quantization = known->quantization;
      if (known->context_tokens > 0) {
        description.capabilities.context_tokens = known->context_tokens;
      }
    }
    return description;
  }

  Health health() const override { return HealthOf(client_->health().state); }

  BackendSpeed speed() const override {
    const CloudHealth health = client_->health();
    BackendSpeed speed;
    speed.ttft_seconds = health.ttft_seconds;
    speed.decode_tokens_per_second = health.tokens_per_second;
    return speed;
  }

  std::optional<int64_t> CountTokens(const std::vector<Message>&) const override {
    return std::nullopt;
  }

 private:
  const std::shared_ptr<CloudClient> client_;
  const FarConfig config_;
};

// --- from a policy's words to a client's options -------------------------------------------------

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

// "env:NAME" or "file:PATH"; the key itself is never in a message.
absl::StatusOr<std::string> ResolveSecret(absl::string_view reference) {
  if (reference.empty()) return std::string();
  if (absl::ConsumePrefix(&reference, "env:")) {
    const char* value = std::getenv(std::string(reference).c_str());
    if (value && *value) return std::string(value);
    return absl::NotFoundError(absl::StrCat("environment variable ", reference, " is not set"));
  }
  if (absl::ConsumePrefix(&reference, "file:")) {
    absl::StatusOr<std::string> text = ReadFile(std::string(reference));
    if (!text.ok()) return text;
    absl::StripAsciiWhitespace(&*text);
    if (text->empty()) return absl::NotFoundError(absl::StrCat(reference, ": is empty"));
    return text;
  }
  return absl::InvalidArgumentError("api_key: must be env:NAME or file:PATH, not the key itself");
}

absl::StatusOr<CloudTls> ReadTls(const TlsConfig& config) {
  CloudTls tls;
  tls.server_name = config.server_name;
  const std::pair<const std::string&, std::string*> files[] = {
      {config.ca_file, &tls.root_certificates},
      {config.cert_file, &tls.certificate_chain},
      {config.key_file, &tls.private_key},
  };
  for (const auto& [path, text] : files) {
    if (path.empty()) continue;
    absl::StatusOr<std::string> read = ReadFile(path);
    if (!read.ok()) return read.status();
    *text = *std::move(read);
  }
  return tls;
}

absl::StatusOr<CloudOptions> OptionsOf(const FarConfig& far) {
  CloudOptions options;
  options.name = far.name;
  options.protocol = far.protocol;
  options.target = far.target;
  options.model = far.model;
  options.input_usd_per_mtok = far.input_usd_per_mtok.value_or(0);
  options.output_usd_per_mtok = far.output_usd_per_mtok.value_or(0);
  options.expected_ttft = absl::Seconds(far.expected_ttft_seconds);
  absl::StatusOr<std::string> key = ResolveSecret(far.api_key);
  if (!key.ok()) return key.status();
  options.api_key = *std::move(key);
  if (far.tls) {
    absl::StatusOr<CloudTls> tls = ReadTls(*far.tls);
    if (!tls.ok()) return tls.status();
    options.tls = *std::move(tls);
  }
  return options;
}

absl::Status Naming(const FarConfig& far, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat("far target '", far.name, "': ", status.message()));
}

}  // namespace

absl::StatusOr<CloudOptions> MakeCloudOptions(const FarConfig& config,
                                              std::function<absl::Time()> clock) {
  absl::StatusOr<CloudOptions> options = OptionsOf(config);
  if (!options.ok()) return Naming(config, options.status());
  options->clock = std::move(clock);
  return options;
}

std::shared_ptr<Backend> MakeCloudBackend(std::shared_ptr<CloudClient> client,
                                          const FarConfig& config) {
  return std::make_shared<CloudBackend>(std::move(client), config);
}

}  // namespace nearfar
