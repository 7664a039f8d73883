#include "local_engine/model/weights.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "local_engine/packing/tiles.h"
#include "local_engine/quant/formats.h"
#include "local_engine/tokenizer/vocab.h"

namespace nearfar {
namespace {

std::string ShapeText(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

// Finds tensors and checks them. The first error sticks, so that a layer can be written as a list.
class TensorFinder {
 public:
  explicit TensorFinder(const GgufFile& file) : file_(file), used_(file.tensors().size()) {}

  const absl::Status& status() const { return status_; }

  bool Has(const std::string& name) const { return file_.FindTensor(name) != nullptr; }

  // Shapes are given as the file writes them: columns first.
  Matrix FindMatrix(const std::string& name, int64_t columns, int64_t rows) {
    const GgufTensor* tensor = Find(name, {columns, rows});
    if (tensor == nullptr) return {};
    return AsMatrix(*tensor);
  }

  // A matrix whose number of rows the file decides.
  Matrix FindTable(const std::string& name, int64_t columns) {
    const GgufTensor* tensor = file_.FindTensor(name);
    if (tensor == nullptr || tensor->shape.size() != 2) return FindMatrix(name, columns, -1);
    if (tensor->shape[1] < 1 || tensor->shape[1] > kMaxVocabulary) {
      Fail(absl::InvalidArgumentError(absl::StrCat("tensor ", name, ": ", tensor->shape[1],
                                                   " rows are outside [1, ", kMaxVocabulary, "]")));
      return {};
    }
    return FindMatrix(name, columns, tensor->shape[1]);
  }

  std::vector<float> FindVector(const std::string& name, int64_t length) {
    const GgufTensor* tensor = Find(name, {length});
    if (tensor == nullptr) return {};
    std::vector<float> values(length);
    FindFormat(tensor->dtype)->decode(tensor->data, values.data(), length);
    return values;
  }

  std::vector<float> FindVector(const std::string& name, int64_t length, Presence presence) {
    if (presence == Presence::kAbsent) return {};
    if (presence == Presence::kOptional && !Has(name)) return {};
    return FindVector(name, length);
  }

  // A tensor that was not asked for is a term that would be missing from every result.
  void RefuseTheRest(const char* family) {
    const auto rest = std::find(used_.begin(), used_.end(), false);
    if (rest == used_.end()) return;
    const GgufTensor& tensor = file_.tensors()[rest - used_.begin()];
    Fail(absl::UnimplementedError(
        absl::StrCat("tensor ", std::string(tensor.name), ": models of the family \"", family,
                     "\" are computed without it here, so the answers would be wrong (take a model "
                     "that has none)")));
  }

  void Fail(absl::Status status) {
    if (status_.ok()) status_ = std::move(status);
  }

 private:
  static Matrix AsMatrix(const GgufTensor& tensor) {
    return {.dtype = tensor.dtype,
            .rows = tensor.shape[1],
            .cols = tensor.shape[0],
            .data = tensor.data,
            .stride = FindFormat(tensor.dtype)->RowBytes(tensor.shape[0])};
  }

  const GgufTensor* Find(const std::string& name, absl::Span<const int64_t> shape) {
    const GgufTensor* tensor = file_.FindTensor(name);
    if (tensor == nullptr) {
      Fail(absl::InvalidArgumentError(
          absl::StrCat("tensor ", name,
                       ": the file lacks it; it is not a whole model of its "
                       "family (general.architecture)")));
      return nullptr;
    }
    used_[tensor - file_.tensors().data()] = true;
    if (absl::MakeConstSpan(tensor->shape) != shape) {
      Fail(absl::InvalidArgumentError(
          absl::StrCat("tensor ", name, ": its shape is ", ShapeText(tensor->shape),
                       ", but the metadata asks for ", ShapeText(shape))));
      return nullptr;
    }
    // The file was refused otherwise.
    assert(FindFormat(tensor->dtype) != nullptr);
    assert(tensor->bytes >=
           FindFormat(tensor->dtype)->RowBytes(tensor->columns()) * tensor->rows());
    return tensor;
  }

  const GgufFile& file_;
  std::vector<bool> used_;  // by place in the file
  absl::Status status_;
};

LayerWeights FindLayer(TensorFinder& finder, const ModelConfig& config, int layer) {
  const LayerTensorNames& names = config.architecture->layer_tensors;
  const Presence bias = config.architecture->qkv_bias;
  const int64_t width = config.width;
  const int64_t ffn = config.ffn_width;
  const int64_t query = config.query_width();
  const int64_t kv = config.kv_width();
  const auto name = [layer](const char* part) { return absl::StrCat("blk.", layer, ".", part); };

  LayerWeights weights;
  weights.attention_norm = finder.FindVector(name(names.attention_norm), width);
  weights.query = finder.FindMatrix(name(names.query), width, query);
  weights.key = finder.FindMatrix(name(names.key), width, kv);
  weights.value = finder.FindMatrix(name(names.value), width, kv);
  weights.query_bias = finder.FindVector(name(names.query_bias), query, bias);
  weights.key_bias = finder.FindVector(name(names.key_bias), kv, bias);
  weights.value_bias = finder.FindVector(name(names.value_bias), kv, bias);
  weights.attention_output = finder.FindMatrix(name(names.attention_output), query, width);
  weights.ffn_norm = finder.FindVector(name(names.ffn_norm), width);
  weights.gate = finder.FindMatrix(name(names.gate), width, ffn);
  weights.up = finder.FindMatrix(name(names.up), width, ffn);
  weights.down = finder.FindMatrix(name(names.down), ffn, width);
  return weights;
}

// Divisors of the frequencies: the file's factors times linear scaling. Empty where all are one.
std::vector<float> FindRopeFactors(TensorFinder& finder, const ModelConfig& config) {
  const std::string name = config.architecture->tensors.rope_factors;
  std::vector<float> factors =
      finder.FindVector(name, config.rope_width / 2, config.architecture->rope_factors);
  const auto usable = [](float factor) { return std::isfinite(factor) && factor > 0; };
  if (!std::all_of(factors.begin(), factors.end(), usable)) {
    finder.Fail(absl::InvalidArgumentError(
        absl::StrCat("tensor ", name, ": holds a factor that is not a positive number")));
  }
  if (config.rope_scale == 1) return factors;
  if (factors.empty()) factors.assign(config.rope_width / 2, 1.0f);
  for (float& factor : factors) factor *= config.rope_scale;
  return factors;
}

int64_t BytesOf(const Matrix& matrix) {
  const int64_t rows_of_stride = matrix.packed ? kStripRows : 1;
  return (matrix.rows + rows_of_stride - 1) / rows_of_stride * matrix.stride;
}

}  // namespace

absl::StatusOr<ModelWeights> FindWeights(const GgufFile& file, const ModelConfig& config) {
  const ModelTensorNames& names = config.architecture->tensors;
  TensorFinder finder(file);
  ModelWeights weights;
  weights.embedding = finder.FindTable(names.embedding, config.width);
  weights.output_norm = finder.FindVector(names.output_norm, config.width);
  weights.output = finder.Has(names.output)
                       ? finder.FindMatrix(names.output, config.width, weights.embedding.rows)
                       : weights.embedding;
  weights.rope_factors = FindRopeFactors(finder, config);
  for (int layer = 0; layer < config.layers && finder.status().ok(); ++layer) {
    weights.layers.push_back(FindLayer(finder, config, layer));
  }
  finder.RefuseTheRest(config.architecture->name);
  if (!finder.status().ok()) return finder.status();
  return weights;
}

TokenCost CostOfToken(const ModelWeights& weights) {
  TokenCost cost;
  for (const LayerWeights& layer : weights.layers) {
    for (const Matrix* matrix : MatricesOf(layer)) {
      cost.bytes += BytesOf(*matrix);
      cost.layer_elements += matrix->rows * matrix->cols;
    }
  }
  cost.bytes += BytesOf(weights.output);
  cost.output_elements = weights.output.rows * weights.output.cols;
  return cost;
}

DType MainDType(const GgufFile& file) {
  absl::flat_hash_map<DType, int64_t> elements;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.shape.size() >= 2) elements[tensor.dtype] += tensor.columns() * tensor.rows();
  }
  std::pair<int64_t, DType> most = {0, DType::kF32};
  for (const auto& [dtype, count] : elements) most = std::max(most, {count, dtype});
  return most.second;
}

int64_t CountParameters(const GgufFile& file) {
  int64_t parameters = 0;
  for (const GgufTensor& tensor : file.tensors()) parameters += tensor.columns() * tensor.rows();
  return parameters;
}

}  // namespace nearfar
