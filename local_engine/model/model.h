// A model file, opened and checked whole: what every session of an engine shares.
// Held by tests/local_engine/model/model_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_MODEL_MODEL_H_
#define NEARFAR_LOCAL_ENGINE_MODEL_MODEL_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "local_engine/gguf/gguf_file.h"
#include "local_engine/model/config.h"
#include "local_engine/model/packed_cache.h"
#include "local_engine/model/packed_weights.h"
#include "local_engine/model/weights.h"
#include "local_engine/tokenizer/chat_template.h"
#include "local_engine/tokenizer/tokenizer.h"

namespace nearfar {

// Immutable once loaded.
struct Model {
  std::unique_ptr<GgufFile> file;
  ModelConfig config;
  ModelWeights weights;      // as they stand in the file
  PackedWeights packed;      // as they are computed with
  std::string fingerprint;   // GgufFile::Fingerprint of the file
  std::string packed_cache;  // EngineStats::packed_cache at the start
  // Where the packed weights should go, so that the next start finds them; or null.
  std::unique_ptr<const PackedCache> cache_to_write;
  std::unique_ptr<const Tokenizer> tokenizer;
  // A base model has no chat template, or one that is not known: it still completes raw text.
  absl::StatusOr<std::unique_ptr<const ChatTemplate>> chat_template;
};

struct LoadOptions {
  bool packed_cache = true;  // EngineOptions::packed_cache
  // Called once file, configuration, weights, tokenizer and template are there, for what would make
  // packing, which may take seconds, in vain: its error ends the loading. Or null.
  std::function<absl::Status(const Model&)> before_packing = nullptr;
};

// Reads the packed cache, but does not write it. Errors: those of GgufFile::Open, ReadModelConfig,
// FindWeights, MakeTokenizer, CheckWeightsFit, before_packing and PackWeights; InvalidArgument (the
// tokenizer's vocabulary is not that of the embedding); Unavailable (the file was written to
// meanwhile).
absl::StatusOr<std::shared_ptr<const Model>> LoadModel(const std::string& path,
                                                       const LoadOptions& options = {});

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_MODEL_MODEL_H_
