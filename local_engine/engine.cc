#include "local_engine/engine.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "local_engine/base/sha256.h"
#include "local_engine/base/thermometer.h"
#include "local_engine/base/thread_pool.h"
#include "local_engine/base/usable_cpus.h"
#include "local_engine/governor.h"
#include "local_engine/kernels/dispatch.h"
#include "local_engine/model/cache_worker.h"
#include "local_engine/model/memory.h"
#include "local_engine/model/model.h"
#include "local_engine/quant/formats.h"
#include "local_engine/scheduler.h"

namespace nearfar {
namespace {

static_assert(EngineOptions::kMostThreads == ThreadPool::kMostThreads);
static_assert(EngineOptions::kMostCelsius == kHottestReading);

constexpr int kMaxSessions = 4096;
constexpr int kMaxPrefillChunk = 8192;
constexpr int kDefaultContext = 4096;
constexpr int kLeastDefaultContext = 512;  // a shorter one is of so little use that it is asked for

absl::Status CheckRange(const char* option, int value, int low, int high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("EngineOptions::", option, ": ", value, " is outside [", low, ", ", high, "]"));
}

absl::StatusOr<DType> KvTypeOf(const std::string& name) {
  if (name == "f16") return DType::kF16;
  if (name == "q8_0") return DType::kQ8_0;
  return absl::InvalidArgumentError(absl::StrCat("kv_type option: no type is named \"",
                                                 name.substr(0, 32), "\" (known: f16, q8_0)"));
}

absl::Status CheckOptions(const EngineOptions& options) {
  absl::Status status = CheckRange("threads", options.threads, 0, EngineOptions::kMostThreads);
  status.Update(CheckRange("max_sessions", options.max_sessions, 1, kMaxSessions));
  status.Update(CheckRange("prefill_chunk", options.prefill_chunk, 1, kMaxPrefillChunk));
  status.Update(KvTypeOf(options.kv_type).status());
  status.Update(Governor::CheckLimits(options.max_tokens_per_second, options.max_temperature));
  if (options.max_memory_bytes < 0) {
    status.Update(absl::InvalidArgumentError(absl::StrCat(
        "EngineOptions::max_memory_bytes: ", options.max_memory_bytes, " is below 0")));
  }
  return status;
}

int LongestTokenBytes(const Tokenizer& tokenizer) {
  size_t longest = 0;
  for (int id = 0; id < tokenizer.vocabulary(); ++id) {
    longest = std::max(longest, tokenizer.Bytes(id).size());
  }
  return static_cast<int>(longest);
}

ModelInfo Describe(const std::string& path, const Model& model, const EngineOptions& asked,
                   const SchedulerOptions& options) {
  const GgufFile& file = *model.file;
  ModelInfo info;
  info.path = path;
  const absl::StatusOr<std::string_view> name = file.GetString("general.name");
  info.name = name.ok() && !name->empty() ? std::string(*name)
                                          : std::filesystem::path(path).filename().string();
  info.architecture = model.config.architecture->name;
  info.quantization = FindFormat(MainDType(file))->name;
  info.fingerprint = model.fingerprint;
  if (model.chat_template.ok()) info.template_name = (*model.chat_template)->name();
  const absl::StatusOr<std::string_view> text = file.GetString("tokenizer.chat_template");
  if (text.ok()) info.template_hash = Sha256Hex(*text);
  info.kernels = options.kernels->name;
  info.kv_type = asked.kv_type;
  info.parameters = CountParameters(file);
  info.file_bytes = file.file_bytes();
  const TokenCost cost = CostOfToken(model.packed.weights);
  info.weight_bytes = cost.bytes;
  info.layer_weights = cost.layer_elements;
  info.output_weights = cost.output_elements;
  info.kv_bytes_per_position = static_cast<int64_t>(KvPositionBytes(model.config, options.kv_type));
  info.context_tokens = options.context;
  info.trained_context_tokens = model.config.trained_context;
  info.vocabulary = model.weights.vocabulary();
  info.longest_token_bytes = LongestTokenBytes(*model.tokenizer);
  info.layers = model.config.layers;
  info.threads = options.threads;
  return info;
}

class LocalEngine : public Engine, public std::enable_shared_from_this<LocalEngine> {
 public:
  LocalEngine(ModelInfo info, std::shared_ptr<const Model> model,
              std::shared_ptr<Scheduler> scheduler)
      : info_(std::move(info)),
        model_(std::move(model)),
        scheduler_(std::move(scheduler)),
        cache_worker_(model_) {}
  ~LocalEngine() override { scheduler_->Stop(); }

  const ModelInfo& info() const override { return info_; }
  EngineStats stats() const override {
    EngineStats stats = scheduler_->stats();
    stats.packed_cache = cache_worker_.state();
    stats.packed_cache_busy = cache_worker_.busy();
    return stats;
  }

  std::vector<int32_t> Tokenize(std::string_view text, bool parse_special) const override {
    std::vector<int32_t> ids;
    model_->tokenizer->Encode(text, parse_special, &ids);
    return ids;
  }

  std::string Detokenize(absl::Span<const int32_t> ids) const override {
    std::string text;
    for (const int32_t id : ids) {
      if (id >= 0 && id < info_.vocabulary) text.append(model_->tokenizer->Bytes(id));
    }
    return text;
  }

  absl::StatusOr<std::vector<int32_t>> TokenizeChat(
      absl::Span<const ChatTurn> turns, std::string_view assistant_prefix) const override {
    if (!model_->chat_template.ok()) return model_->chat_template.status();
    std::vector<TemplateTurn> borrowed;
    borrowed.reserve(turns.size());
    for (const ChatTurn& turn : turns) borrowed.push_back({turn.role, turn.content});
    return (*model_->chat_template)->Encode(borrowed, assistant_prefix);
  }

  absl::StatusOr<std::unique_ptr<Session>> NewSession() override {
    return scheduler_->NewSession(shared_from_this());
  }

  absl::StatusOr<std::vector<float>> Logits(absl::Span<const int32_t> ids) override {
    return scheduler_->Logits(ids);
  }

 private:
  const ModelInfo info_;
  const std::shared_ptr<const Model> model_;
  const std::shared_ptr<Scheduler> scheduler_;
  CacheWorker cache_worker_;
};

// What the scheduler is started with, but for the context. The options are checked.
SchedulerOptions Scheduling(const EngineOptions& options, const KernelTable* kernels) {
  SchedulerOptions scheduling;
  scheduling.kernels = kernels;
  scheduling.kv_type = *KvTypeOf(options.kv_type);
  scheduling.threads =
      options.threads > 0 ? options.threads : std::min(BestThreads(), EngineOptions::kMostThreads);
  scheduling.max_sessions = options.max_sessions;
  scheduling.prefill_chunk = options.prefill_chunk;
  scheduling.layer_observer = options.layer_observer;
  return scheduling;
}

// Positions of a session's KV cache: those asked for, or else as many as there is memory for.
absl::StatusOr<int> ChooseContext(const EngineOptions& options, const Model& model,
                                  const SchedulerOptions& scheduling) {
  const int trained = model.config.trained_context;
  const absl::Status status = CheckRange("context_tokens", options.context_tokens, 0, trained);
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(status.message(), " (the model was trained for ", trained, ")"));
  }
  const bool chosen = options.context_tokens > 0;
  const int most = chosen ? options.context_tokens : std::min(trained, kDefaultContext);
  const int least = chosen ? most : std::min(most, kLeastDefaultContext);
  return FitContext(model.config, model.weights.vocabulary(),
                    {.context = most,
                     .sessions = scheduling.max_sessions,
                     .rows = scheduling.prefill_chunk + scheduling.max_sessions,
                     .threads = scheduling.threads,
                     .kv_type = scheduling.kv_type,
                     .weights = PackedBytes(model.weights),
                     .kernels = scheduling.kernels},
                    least, options.max_memory_bytes);
}

}  // namespace

absl::Status Engine::CheckKernels(const std::string& name) { return SelectKernels(name).status(); }

absl::Status Engine::CheckKvType(const std::string& name) { return KvTypeOf(name).status(); }

absl::StatusOr<std::shared_ptr<Engine>> Engine::Open(const std::string& path,
                                                     const EngineOptions& options) {
  absl::Status status = CheckOptions(options);
  if (!status.ok()) return status;
  absl::StatusOr<const KernelTable*> kernels = SelectKernels(options.kernels);
  if (!kernels.ok()) return kernels.status();
  SchedulerOptions scheduling = Scheduling(options, *kernels);
  // Before the model, for which a device may take its time.
  absl::StatusOr<std::unique_ptr<Governor>> governor =
      Governor::Create({.max_tokens_per_second = options.max_tokens_per_second,
                        .max_temperature = options.max_temperature,
                        .threads = scheduling.threads});
  if (!governor.ok()) return governor.status();
  const auto choose_context = [&](const Model& model) {
    const absl::StatusOr<int> context = ChooseContext(options, model, scheduling);
    if (context.ok()) scheduling.context = *context;
    return context.status();
  };
  absl::StatusOr<std::shared_ptr<const Model>> model =
      LoadModel(path, {.packed_cache = options.packed_cache, .before_packing = choose_context});
  if (!model.ok()) return model.status();
  absl::StatusOr<std::shared_ptr<Scheduler>> scheduler =
      Scheduler::Start(*model, scheduling, *std::move(governor));
  if (!scheduler.ok()) return scheduler.status();
  ModelInfo info = Describe(path, **model, options, scheduling);
  return std::make_shared<LocalEngine>(std::move(info), *std::move(model), *std::move(scheduler));
}

}  // namespace nearfar
