#include "local_engine/model/model.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "local_engine/base/thread_pool.h"
#include "local_engine/base/usable_cpus.h"
#include "local_engine/model/memory.h"

namespace nearfar {
namespace {

absl::Status CheckVocabulary(const Model& model) {
  const int tokens = model.tokenizer->vocabulary();
  if (tokens == model.weights.vocabulary()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "tensor ", model.config.architecture->tensors.embedding, ": ", model.weights.vocabulary(),
      " rows, but tokenizer.ggml.tokens has ", tokens, " entries; they must agree"));
}

absl::Status Pack(Model* model) {
  absl::StatusOr<std::unique_ptr<ThreadPool>> pool = ThreadPool::Create(UsableCpus());
  if (!pool.ok()) return pool.status();
  absl::StatusOr<PackedWeights> packed = PackWeights(model->weights, *model->file, pool->get());
  if (!packed.ok()) return packed.status();
  model->packed = *std::move(packed);
  return absl::OkStatus();
}

// From the cache; or else packs them, and says what becomes of the cache.
absl::Status FindPacked(const LoadOptions& options, int64_t bytes, Model* model) {
  if (!options.packed_cache || bytes < PackedCache::kLeastBytes) {
    model->packed_cache = options.packed_cache ? "of no use, there is little to pack" : "off";
    return Pack(model);
  }
  auto cache = std::make_unique<PackedCache>(model->file->mapped(), model->fingerprint, bytes);
  absl::StatusOr<PackedMemory> memory = cache->Read();
  if (memory.ok()) {
    model->packed_cache = "mapped";
    model->packed = PlacePackedWeights(model->weights, *std::move(memory));
    return absl::OkStatus();
  }
  model->packed_cache = "writing";
  model->cache_to_write = std::move(cache);
  return Pack(model);
}

absl::Status LoadParts(const std::string& path, const LoadOptions& options, Model* model) {
  absl::StatusOr<std::unique_ptr<GgufFile>> file = GgufFile::Open(path);
  if (!file.ok()) return file.status();
  model->file = *std::move(file);
  absl::StatusOr<ModelConfig> config = ReadModelConfig(*model->file);
  if (!config.ok()) return config.status();
  model->config = *config;
  absl::StatusOr<ModelWeights> weights = FindWeights(*model->file, model->config);
  if (!weights.ok()) return weights.status();
  model->weights = *std::move(weights);
  absl::StatusOr<std::unique_ptr<const Tokenizer>> tokenizer = MakeTokenizer(*model->file);
  if (!tokenizer.ok()) return tokenizer.status();
  model->tokenizer = *std::move(tokenizer);
  model->chat_template = MakeChatTemplate(*model->file, *model->tokenizer);
  const absl::Status fits = CheckVocabulary(*model);
  if (!fits.ok()) return fits;
  const int64_t packed_bytes = PackedBytes(model->weights);
  const absl::Status held = CheckWeightsFit(packed_bytes);
  if (!held.ok()) return held;
  const absl::Status wanted =
      options.before_packing == nullptr ? absl::OkStatus() : options.before_packing(*model);
  if (!wanted.ok()) return wanted;
  model->fingerprint = model->file->Fingerprint();
  const absl::Status packed = FindPacked(options, packed_bytes, model);
  if (!packed.ok()) return packed;
  return model->file->CheckUnchanged();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Model>> LoadModel(const std::string& path,
                                                       const LoadOptions& options) {
  auto model = std::make_shared<Model>();
  absl::Status status = LoadParts(path, options, model.get());
  if (status.ok()) return model;
  if (absl::StrContains(status.message(), path)) return status;
  return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
}

}  // namespace nearfar
