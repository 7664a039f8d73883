#include "local_engine/speed.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"

namespace nearfar {
namespace {

constexpr int kWarmUpTokens = 32;
// A model may end its turn early: then it is asked again, behind a prompt that is a token longer.
constexpr int kAttempts = 20;
constexpr int kLeastPrompt = 8;  // tokens; before them there is nothing to go on with

// ---- One generation.

using Joules = std::function<std::optional<double>()>;

struct Timed {
  GenerateResult result;
  std::optional<double> joules;  // of the decoding

  // Passes behind the prefill: its logits gave the first token, and a last pass the turn's end.
  int decoded() const {
    const int ends = result.reason == StopReason::kEndOfText ? 1 : 0;
    return std::max(0, result.completion_tokens + ends - 1);
  }
};

class TimingSink : public GenerateSink {
 public:
  explicit TimingSink(const Joules& joules) : joules_(joules) {}

  void OnPrefill(int, int) override { begin_ = Now(); }
  void OnToken(const Token&) override {}
  void OnDone(const GenerateResult& result) override {
    timed_.result = result;
    const std::optional<double> end = Now();
    if (begin_.has_value() && end.has_value()) timed_.joules = *end - *begin_;
    done_.Notify();
  }

  Timed Wait() {
    done_.WaitForNotification();
    return timed_;
  }

 private:
  std::optional<double> Now() const { return joules_ != nullptr ? joules_() : std::nullopt; }

  const Joules joules_;
  std::optional<double> begin_;
  Timed timed_;
  absl::Notification done_;
};

absl::StatusOr<Timed> Generate(Session& session, std::vector<int32_t> prompt, int tokens,
                               const Joules& joules = nullptr) {
  const auto sink = std::make_shared<TimingSink>(joules);
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = tokens;
  const absl::Status status = session.Generate(std::move(request), sink);
  if (!status.ok()) return status;
  const Timed timed = sink->Wait();
  if (timed.result.reason == StopReason::kError) return timed.result.status;
  return timed;
}

// `count` ids of ordinary text; more of them begin with fewer, so that a session's cache serves.
absl::StatusOr<std::vector<int32_t>> TextIds(const Engine& engine, int count) {
  const std::vector<int32_t> sentence = engine.Tokenize(
      "The keeper of the lighthouse wrote down the wind, the tide and the names of passing "
      "ships. ");
  if (sentence.empty()) return absl::InternalError("the tokenizer makes nothing of a sentence");
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) ids.push_back(sentence[i % sentence.size()]);
  return ids;
}

// ---- Medians.

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// In a session of its own, whose cache has nothing yet.
absl::StatusOr<double> PrefillSpeed(Engine& engine, int tokens) {
  const auto prompt = TextIds(engine, tokens);
  if (!prompt.ok()) return prompt.status();
  const auto session = engine.NewSession();
  if (!session.ok()) return session.status();
  const auto timed = Generate(**session, *prompt, 1);
  if (!timed.ok()) return timed.status();
  return timed->result.prompt_tokens / timed->result.prefill_seconds;
}

absl::StatusOr<double> MedianPrefillSpeed(Engine& engine, const SpeedOptions& options) {
  std::vector<double> speeds;
  for (int run = 0; run < options.runs; ++run) {
    const auto speed = PrefillSpeed(engine, options.prefill);
    if (!speed.ok()) return speed.status();
    speeds.push_back(*speed);
  }
  return Median(std::move(speeds));
}

// The prompt is in the session's cache from the second run on.
absl::StatusOr<DecodeSpeed> DecodeOnce(const Engine& engine, Session& session, int depth,
                                       const SpeedOptions& options) {
  int decoded = 0;
  double seconds = 0, positions = 0, joules = 0;
  bool measured = true;
  for (int attempt = 0; decoded < options.decode && attempt < kAttempts; ++attempt) {
    auto prompt = TextIds(engine, std::max(depth, kLeastPrompt) + attempt);
    if (!prompt.ok()) return prompt.status();
    const auto timed =
        Generate(session, *std::move(prompt), options.decode - decoded + 1, options.joules);
    if (!timed.ok()) return timed.status();
    const int tokens = timed->decoded();
    decoded += tokens;
    seconds += timed->result.decode_seconds;
    positions += tokens * (timed->result.prompt_tokens + (tokens + 1) / 2.0);
    joules += timed->joules.value_or(0);
    measured = measured && timed->joules.has_value();
  }
  if (decoded == 0) return absl::InternalError("the model ends every answer before it begins");
  DecodeSpeed speed{.depth = depth,
                    .tokens_per_second = decoded / seconds,
                    .positions = positions / decoded,
                    .joules_per_token = {}};
  if (measured) speed.joules_per_token = joules / decoded;
  return speed;
}

absl::StatusOr<DecodeSpeed> MedianDecodeSpeed(const Engine& engine, Session& session, int depth,
                                              const SpeedOptions& options) {
  std::vector<double> speeds, joules;
  DecodeSpeed median;
  for (int run = 0; run < options.runs; ++run) {
    const auto speed = DecodeOnce(engine, session, depth, options);
    if (!speed.ok()) return speed.status();
    speeds.push_back(speed->tokens_per_second);
    if (speed->joules_per_token.has_value()) joules.push_back(*speed->joules_per_token);
    median = *speed;
  }
  median.tokens_per_second = Median(std::move(speeds));
  if (!joules.empty()) median.joules_per_token = Median(std::move(joules));
  return median;
}

absl::Status MeasureDepths(Engine& engine, const std::vector<int>& depths,
                           const SpeedOptions& options, EngineSpeed* speed) {
  const auto session = engine.NewSession();
  if (!session.ok()) return session.status();
  for (const int depth : depths) {
    const auto decode = MedianDecodeSpeed(engine, **session, depth, options);
    if (!decode.ok()) return decode.status();
    speed->decode.push_back(*decode);
  }
  return absl::OkStatus();
}

// ---- Several sequences.

// Counts passes while all sequences decode: from the prefill of the one that began last, until one
// ends. They have one prompt and are greedy, so one is as long as the other. Sinks are called one
// after the other.
class BatchMeter {
 public:
  explicit BatchMeter(int sequences) : sequences_(sequences), running_(sequences) {}

  void OnPrefill(int sequence) {
    ++begun_;
    last_begun_ = sequence;
    begin_ = end_ = Clock::now();
  }
  // The prefill's logits gave the first token, each pass one more; some may come together, but
  // none is late when one comes.
  void OnToken(int sequence) {
    if (begun_ < sequences_ || ended_ || sequence != last_begun_) return;
    ++tokens_;
    end_ = Clock::now();
  }
  void OnDone(const GenerateResult& result) {
    ended_ = true;
    if (result.reason == StopReason::kError) status_ = result.status;
    running_.DecrementCount();
  }

  absl::Status Wait() {
    running_.Wait();
    return status_;
  }
  // After Wait.
  int passes() const { return std::max(0, tokens_ - 1); }
  double seconds() const { return std::chrono::duration<double>(end_ - begin_).count(); }

 private:
  using Clock = std::chrono::steady_clock;

  const int sequences_;
  int begun_ = 0, last_begun_ = 0, tokens_ = 0;
  bool ended_ = false;
  Clock::time_point begin_, end_;
  absl::Status status_;
  absl::BlockingCounter running_;
};

class BatchSink : public GenerateSink {
 public:
  BatchSink(std::shared_ptr<BatchMeter> meter, int sequence)
      : meter_(std::move(meter)), sequence_(sequence) {}

  void OnPrefill(int, int) override { meter_->OnPrefill(sequence_); }
  void OnToken(const Token&) override { meter_->OnToken(sequence_); }
  void OnDone(const GenerateResult& result) override { meter_->OnDone(result); }

 private:
  const std::shared_ptr<BatchMeter> meter_;
  const int sequence_;
};

using Sessions = std::vector<std::unique_ptr<Session>>;

absl::StatusOr<std::shared_ptr<BatchMeter>> GenerateAll(const Sessions& sessions,
                                                        const std::vector<int32_t>& prompt,
                                                        int tokens) {
  const int count = static_cast<int>(sessions.size());
  const auto meter = std::make_shared<BatchMeter>(count);
  for (int i = 0; i < count; ++i) {
    GenerateRequest request;
    request.prompt = prompt;
    request.max_tokens = tokens;
    const absl::Status status =
        sessions[i]->Generate(std::move(request), std::make_shared<BatchSink>(meter, i));
    if (!status.ok()) return status;
  }
  const absl::Status status = meter->Wait();
  if (!status.ok()) return status;
  return meter;
}

absl::StatusOr<double> BatchOnce(const Engine& engine, const Sessions& sessions, int decode) {
  int passes = 0;
  double seconds = 0;
  for (int attempt = 0; passes < decode && attempt < kAttempts; ++attempt) {
    const auto prompt = TextIds(engine, kLeastPrompt + attempt);
    if (!prompt.ok()) return prompt.status();
    // Prompts may be computed one after the other, while those before them decode.
    const int tokens = decode - passes + 1 + static_cast<int>(sessions.size());
    const auto meter = GenerateAll(sessions, *prompt, tokens);
    if (!meter.ok()) return meter.status();
    passes += (*meter)->passes();
    seconds += (*meter)->seconds();
  }
  if (passes == 0) return absl::InternalError("the model ends every answer before it begins");
  return static_cast<double>(passes) * static_cast<double>(sessions.size()) / seconds;
}

// ---- Options.

absl::Status CheckLeast(const char* option, int value, int least) {
  if (value >= least) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("SpeedOptions::", option, ": ", value, " is below ", least));
}

absl::Status CheckOptions(const SpeedOptions& options) {
  absl::Status status = CheckLeast("prefill", options.prefill, 1);
  status.Update(CheckLeast("decode", options.decode, 1));
  status.Update(CheckLeast("runs", options.runs, 1));
  for (const int depth : options.depths) status.Update(CheckLeast("depths", depth, 0));
  return status;
}

absl::Status TooShort(const char* option, int needed, int context) {
  return absl::OutOfRangeError(absl::StrCat("SpeedOptions::", option, ": needs ", needed,
                                            " positions, but the context has ", context));
}

// Splits the depths by what the context holds.
absl::Status ChooseDepths(const SpeedOptions& options, int context, std::vector<int>* depths,
                          std::vector<int>* left_out) {
  for (const int depth : options.depths) {
    (PositionsNeeded(depth, options.decode) <= context ? depths : left_out)->push_back(depth);
  }
  if (!depths->empty() || left_out->empty()) return absl::OkStatus();
  const int least = *std::min_element(left_out->begin(), left_out->end());
  return TooShort("depths", PositionsNeeded(least, options.decode), context);
}

}  // namespace

int PositionsNeeded(int depth, int decode) {
  const int64_t needed = int64_t{std::max(depth, kLeastPrompt)} + kAttempts + decode;
  return static_cast<int>(std::min<int64_t>(needed, std::numeric_limits<int>::max()));
}

absl::StatusOr<EngineSpeed> MeasureSpeed(Engine& engine, const SpeedOptions& options) {
  absl::Status status = CheckOptions(options);
  const int context = engine.info().context_tokens;
  if (status.ok() && options.prefill > context)
    status = TooShort("prefill", options.prefill, context);
  EngineSpeed speed;
  std::vector<int> depths;
  if (status.ok()) status = ChooseDepths(options, context, &depths, &speed.left_out);
  if (!status.ok()) return status;
  // Pages in, and threads awake.
  const auto warm = PrefillSpeed(engine, std::min(kWarmUpTokens, context));
  if (!warm.ok()) return warm.status();
  const auto prefill = MedianPrefillSpeed(engine, options);
  if (!prefill.ok()) return prefill.status();
  speed.prefill_tokens_per_second = *prefill;
  status = MeasureDepths(engine, depths, options, &speed);
  if (!status.ok()) return status;
  return speed;
}

absl::StatusOr<double> MeasureBatch(Engine& engine, int sequences, const SpeedOptions& options) {
  absl::Status status = CheckOptions(options);
  if (status.ok() && sequences < 1) {
    status = absl::InvalidArgumentError(absl::StrCat("a batch of ", sequences, " sequences"));
  }
  const int needed = PositionsNeeded(0, options.decode) + sequences;
  const int context = engine.info().context_tokens;
  if (status.ok() && needed > context) status = TooShort("decode", needed, context);
  Sessions sessions;
  for (int i = 0; i < sequences && status.ok(); ++i) {
    auto session = engine.NewSession();
    status = session.status();
    if (session.ok()) sessions.push_back(*std::move(session));
  }
  std::vector<double> speeds;
  for (int run = 0; run < options.runs && status.ok(); ++run) {
    const auto speed = BatchOnce(engine, sessions, options.decode);
    status = speed.status();
    if (speed.ok()) speeds.push_back(*speed);
  }
  if (!status.ok()) return status;
  return Median(std::move(speeds));
}

double BytesPerToken(const ModelInfo& info, double positions) {
  return static_cast<double>(info.weight_bytes) +
         positions * static_cast<double>(info.kv_bytes_per_position);
}

double OperationsPerToken(const ModelInfo& info, int prefill) {
  return 2 * (static_cast<double>(info.layer_weights) +
              static_cast<double>(info.output_weights) / prefill);
}

}  // namespace nearfar
