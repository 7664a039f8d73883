#include "local_engine/model/config.h"

#include <cmath>
#include <limits>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "local_engine/model/arch/architectures.h"

namespace nearfar {
namespace {

// No real model comes near these; below them every size of one buffer fits in 64 bits.
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxWidth = 1 << 17;
constexpr int64_t kMaxFfnWidth = 1 << 20;
constexpr int64_t kMaxHeads = 1024;
constexpr int64_t kMaxHeadWidth = 1024;
constexpr int64_t kMaxContext = 1 << 26;

// Reads the keys of one family. The first error sticks, so that a reader can be written as a list.
class KeyReader {
 public:
  KeyReader(const GgufFile& file, const Architecture& architecture)
      : file_(file), prefix_(absl::StrCat(architecture.name, ".")) {}

  const absl::Status& status() const { return status_; }

  bool Has(const char* key) const { return file_.Find(Name(key)) != nullptr; }

  int Int(const char* key, int64_t low, int64_t high) {
    const std::string name = Name(key);
    absl::StatusOr<int64_t> value = file_.GetInt(name);
    if (!value.ok()) return Fail(Missing(value.status(), name));
    if (*value < low || *value > high) {
      return Fail(absl::InvalidArgumentError(
          absl::StrCat(name, ": ", *value, " is outside [", low, ", ", high, "]")));
    }
    return static_cast<int>(*value);
  }

  int IntOr(const char* key, int64_t low, int64_t high, int absent) {
    return Has(key) ? Int(key, low, high) : absent;
  }

  float Float(const char* key, double low, double high) {
    const std::string name = Name(key);
    absl::StatusOr<double> value = file_.GetFloat(name);
    if (!value.ok()) return Fail(Missing(value.status(), name));
    if (!(*value >= low && *value <= high)) {  // refuses NaN too
      return Fail(absl::InvalidArgumentError(
          absl::StrCat(name, ": ", *value, " is outside [", low, ", ", high, "]")));
    }
    return static_cast<float>(*value);
  }

  float FloatOr(const char* key, double low, double high, float absent) {
    return Has(key) ? Float(key, low, high) : absent;
  }

  // Empty where the key is absent.
  std::string_view StringOrEmpty(const char* key) {
    if (!Has(key)) return {};
    absl::StatusOr<std::string_view> value = file_.GetString(Name(key));
    if (value.ok()) return *value;
    Fail(value.status());
    return {};
  }

  int Fail(absl::Status status) {
    if (status_.ok()) status_ = std::move(status);
    return 0;
  }

  std::string Name(const char* key) const { return absl::StrCat(prefix_, key); }

 private:
  // A missing key is the file's fault, not the caller's path: never NotFound.
  static absl::Status Missing(const absl::Status& status, const std::string& name) {
    if (!absl::IsNotFound(status)) return status;
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": the file's metadata lacks this key; it is not a whole model file"));
  }

  const GgufFile& file_;
  const std::string prefix_;
  absl::Status status_;
};

void ReadShape(KeyReader& reader, ModelConfig& config) {
  const ConfigKeys& keys = config.architecture->keys;
  config.layers = reader.Int(keys.layers, 1, kMaxLayers);
  config.width = reader.Int(keys.width, 1, kMaxWidth);
  config.ffn_width = reader.Int(keys.ffn_width, 1, kMaxFfnWidth);
  config.heads = reader.Int(keys.heads, 1, kMaxHeads);
  config.kv_heads = reader.IntOr(keys.kv_heads, 1, kMaxHeads, config.heads);
  config.trained_context = reader.Int(keys.trained_context, 1, kMaxContext);
  config.norm_epsilon = reader.Float(keys.norm_epsilon, 0, 1);
}

void ReadHeads(KeyReader& reader, ModelConfig& config) {
  const ConfigKeys& keys = config.architecture->keys;
  if (!reader.status().ok()) return;
  if (config.heads % config.kv_heads != 0) {
    reader.Fail(absl::InvalidArgumentError(absl::StrCat(
        reader.Name(keys.kv_heads), ": ", config.kv_heads, " key heads do not divide the ",
        config.heads, " query heads of ", reader.Name(keys.heads))));
    return;
  }
  if (!reader.Has(keys.key_width) && config.width % config.heads != 0) {
    reader.Fail(absl::InvalidArgumentError(
        absl::StrCat(reader.Name(keys.heads), ": ", config.heads, " heads do not divide the width ",
                     config.width, " of ", reader.Name(keys.width))));
    return;
  }
  config.head_width = reader.IntOr(keys.key_width, 1, kMaxHeadWidth, config.width / config.heads);
  const int value_width = reader.IntOr(keys.value_width, 1, kMaxHeadWidth, config.head_width);
  if (!reader.status().ok()) return;
  if (config.head_width % 2 != 0 || config.head_width > kMaxHeadWidth) {
    reader.Fail(absl::InvalidArgumentError(
        absl::StrCat(reader.Name(keys.heads), ": heads of width ", config.head_width,
                     "; an even width up to ", kMaxHeadWidth, " is needed")));
  } else if (value_width != config.head_width) {
    reader.Fail(
        absl::UnimplementedError(absl::StrCat(reader.Name(keys.value_width), ": ", value_width,
                                              " differs from the key width ", config.head_width)));
  }
}

// Factor of linear scaling, 1 where there is none. Files mean what llama.cpp takes them for: a
// factor without a type is linear.
float ReadRopeScale(KeyReader& reader, const ConfigKeys& keys) {
  const std::string_view type = reader.StringOrEmpty(keys.rope_scaling);
  if (type == "none") return 1;
  if (!type.empty() && type != "linear") {
    reader.Fail(absl::UnimplementedError(
        absl::StrCat(reader.Name(keys.rope_scaling), ": \"", std::string(type).substr(0, 32),
                     "\" is not computed here (known: none, linear)")));
    return 1;
  }
  const bool has_old = !reader.Has(keys.rope_scaling_factor) && reader.Has(keys.rope_scale_linear);
  const char* key = has_old ? keys.rope_scale_linear : keys.rope_scaling_factor;
  return type.empty() ? reader.FloatOr(key, 1e-3, 1e6, 1) : reader.Float(key, 1e-3, 1e6);
}

void ReadRope(KeyReader& reader, ModelConfig& config) {
  const ConfigKeys& keys = config.architecture->keys;
  if (!reader.status().ok()) return;
  config.rope_width = reader.IntOr(keys.rope_width, 2, config.head_width, config.head_width);
  config.rope_base = reader.FloatOr(keys.rope_base, 1, 1e12, 10000.0f);
  if (config.rope_width % 2 != 0) {
    reader.Fail(absl::InvalidArgumentError(
        absl::StrCat(reader.Name(keys.rope_width), ": ", config.rope_width, " is odd")));
  }
  config.rope_scale = ReadRopeScale(reader, keys);
  const float attention_factor = reader.FloatOr(keys.rope_attention_factor, 0, 1e6, 1);
  if (attention_factor != 1) {
    reader.Fail(absl::UnimplementedError(absl::StrCat(reader.Name(keys.rope_attention_factor), ": ",
                                                      attention_factor,
                                                      " is not computed here (known: 1)")));
  }
}

void RefuseExperts(KeyReader& reader, const ModelConfig& config) {
  const int experts = reader.IntOr(config.architecture->keys.experts, 0, 1 << 20, 0);
  if (experts == 0) return;
  reader.Fail(absl::UnimplementedError(
      absl::StrCat(reader.Name(config.architecture->keys.experts), ": a mixture of ", experts,
                   " experts is not computed here; take a dense model")));
}

// Files of the families known here mostly come without a window; one that has it would be answered
// wrongly as soon as a conversation is longer.
void RefuseWindow(KeyReader& reader, const ModelConfig& config) {
  const char* key = config.architecture->keys.sliding_window;
  const int window = reader.IntOr(key, 0, std::numeric_limits<int>::max(), 0);
  if (window == 0 || window >= config.trained_context) return;
  reader.Fail(absl::UnimplementedError(absl::StrCat(
      reader.Name(key), ": a sliding window of ", window, " of ", config.trained_context,
      " positions is not computed here; take a model whose attention sees its whole context")));
}

}  // namespace

absl::StatusOr<ModelConfig> ReadModelConfig(const GgufFile& file) {
  absl::StatusOr<std::string_view> family = file.GetString("general.architecture");
  if (absl::IsNotFound(family.status())) {
    return absl::InvalidArgumentError(
        "general.architecture: the file's metadata lacks this key; it is not a model file");
  }
  if (!family.ok()) return family.status();
  absl::StatusOr<const Architecture*> architecture = FindArchitecture(*family);
  if (!architecture.ok()) return architecture.status();

  ModelConfig config;
  config.architecture = *architecture;
  KeyReader reader(file, **architecture);
  ReadShape(reader, config);
  ReadHeads(reader, config);
  ReadRope(reader, config);
  RefuseExperts(reader, config);
  RefuseWindow(reader, config);
  if (!reader.status().ok()) return reader.status();
  return config;
}

}  // namespace nearfar
