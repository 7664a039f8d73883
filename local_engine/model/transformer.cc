#include "local_engine/model/transformer.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "local_engine/quant/formats.h"

namespace nearfar {
namespace {

constexpr int kRopeStep = 256;  // positions that the table is filled ahead

const float* BiasOrNull(const std::vector<float>& bias) {
  return bias.empty() ? nullptr : bias.data();
}

absl::Status AllocateFloats(int64_t rows, int64_t width, AlignedBuffer* out) {
  return AlignedBuffer::CreateInto(sizeof(float) * rows * width, out);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Transformer>> Transformer::Create(
    const ModelConfig& config, const ModelWeights& weights, const KernelTable& kernels,
    DType kv_type, ThreadPool* pool, int context, int max_rows, int max_logits) {
  assert(max_logits <= max_rows);
  std::unique_ptr<Transformer> transformer(
      new Transformer(config, weights, kernels, kv_type, pool));
  const absl::StatusOr<ActivationForms> forms = transformer->ChooseForms();
  if (!forms.ok()) return forms.status();
  absl::Status status = transformer->Allocate(*forms, context, max_rows, max_logits);
  if (!status.ok()) return status;
  return transformer;
}

absl::StatusOr<ActivationForms> Transformer::ChooseForms() const {
  std::vector<DType> dtypes = {weights_.output.dtype};
  for (const LayerWeights& layer : weights_.layers) {
    for (const Matrix* matrix : MatricesOf(layer)) dtypes.push_back(matrix->dtype);
  }
  for (const DType dtype : dtypes) {
    if (FindFormatKernel(*ops_.kernels, dtype) != nullptr) continue;
    return absl::UnimplementedError(absl::StrCat("the \"", ops_.kernels->name,
                                                 "\" kernels have no product for weights of type ",
                                                 FindFormat(dtype)->name));
  }
  return FormsFor(*ops_.kernels, dtypes);
}

AttentionShape Transformer::attention_shape() const {
  return {.heads = config_.heads,
          .kv_heads = config_.kv_heads,
          .head_width = config_.head_width,
          .scale = 1.0f / std::sqrt(static_cast<float>(config_.head_width)),
          .kv_type = kv_type_};
}

// What a pass computes with, and the input of its products.
absl::Status Transformer::AllocateInput(ActivationForms forms, int max_rows) {
  const int64_t width = std::max({config_.width, config_.query_width(), config_.ffn_width});
  absl::StatusOr<Activations> input = Activations::Create(forms, max_rows, width);
  if (!input.ok()) return input.status();
  input_ = *std::move(input);
  absl::StatusOr<Workspace> workspace =
      Workspace::Create(*ops_.kernels, ops_.pool->size(),
                        {.width = width, .items = max_rows, .attention = attention_shape()});
  if (!workspace.ok()) return workspace.status();
  workspace_ = *std::move(workspace);
  return absl::OkStatus();
}

absl::Status Transformer::Allocate(ActivationForms forms, int context, int max_rows,
                                   int max_logits) {
  absl::Status status = AllocateInput(forms, max_rows);
  status.Update(AllocateFloats(context, config_.rope_width, &rope_table_));
  status.Update(AllocateFloats(max_rows, config_.width, &residual_));
  status.Update(AllocateFloats(max_rows, config_.query_width(), &query_));
  status.Update(AllocateFloats(max_rows, config_.kv_width(), &key_));
  status.Update(AllocateFloats(max_rows, config_.kv_width(), &value_));
  status.Update(AllocateFloats(max_rows, config_.query_width(), &attended_));
  status.Update(AllocateFloats(max_rows, config_.ffn_width, &gate_));
  status.Update(AllocateFloats(max_rows, config_.ffn_width, &up_));
  status.Update(AllocateFloats(max_rows, config_.width, &delta_));
  status.Update(AllocateFloats(max_logits, weights_.vocabulary(), &logits_));
  status.Update(AlignedBuffer::CreateInto(
      sizeof(LogitBlock) * max_logits * LogitBlocks(weights_.vocabulary()), &logit_blocks_));
  status.Update(AlignedBuffer::CreateInto(sizeof(LogitStats) * max_logits, &stats_));
  if (!status.ok()) return status;
  rows_.reserve(max_rows);
  positions_.reserve(max_rows);
  ids_.reserve(max_rows);
  store_items_.reserve(max_rows);
  items_.reserve(max_rows);
  return status;
}

int64_t Transformer::bytes() const {
  size_t total = rows_.capacity() * sizeof(Row) + positions_.capacity() * sizeof(int32_t) +
                 ids_.capacity() * sizeof(int32_t) + store_items_.capacity() * sizeof(StoreItem) +
                 items_.capacity() * sizeof(AttentionItem);
  for (const AlignedBuffer* buffer : {&rope_table_, &residual_, &query_, &key_, &value_, &attended_,
                                      &gate_, &up_, &delta_, &logits_, &logit_blocks_, &stats_}) {
    total += buffer->size();
  }
  return static_cast<int64_t>(total) + input_.bytes() + workspace_.bytes();
}

void Transformer::Forward(absl::Span<PassSlice> slices, PassObserver& observer) {
  GatherRows(slices);
  ExtendRopeTable();
  EmbedRows();
  for (int layer = 0; layer < config_.layers; ++layer) {
    observer.BeforeLayer(layer, slices);
    DropRows(slices);
    if (rows_.empty()) return;
    ComputeLayer(layer, slices);
    observer.AfterLayer(layer);
  }
  observer.BeforeLogits(slices);
  DropRows(slices);
  ComputeLogits(slices);
  for (PassSlice& slice : slices) {
    if (!slice.dropped) slice.cache->Advance(static_cast<int>(slice.tokens.size()));
  }
}

void Transformer::GatherRows(absl::Span<const PassSlice> slices) {
  rows_.clear();
  positions_.clear();
  for (int s = 0; s < static_cast<int>(slices.size()); ++s) {
    const PassSlice& slice = slices[s];
    if (slice.dropped) continue;
    const int tokens = static_cast<int>(slice.tokens.size());
    assert(slice.cache->length() + tokens <= slice.cache->capacity());
    for (int i = 0; i < tokens; ++i) {
      rows_.push_back({s, slice.tokens[i], i >= tokens - slice.wanted_logits});
      positions_.push_back(slice.cache->length() + i);
    }
  }
  assert(rows_.size() * config_.width * sizeof(float) <= residual_.size());
}

// The table is filled as conversations get there: of a long context most is never looked at.
void Transformer::ExtendRopeTable() {
  int needed = 0;
  for (const int32_t position : positions_) needed = std::max(needed, position + 1);
  if (needed <= rope_positions_) return;
  const int64_t context =
      static_cast<int64_t>(rope_table_.size() / (sizeof(float) * config_.rope_width));
  const int64_t end = std::min<int64_t>(context, needed + kRopeStep);
  const float* factors = weights_.rope_factors.empty() ? nullptr : weights_.rope_factors.data();
  BuildRopeTable(config_.rope_base, factors, config_.rope_width, rope_positions_, end,
                 rope_table_.as<float>());
  rope_positions_ = static_cast<int>(end);
}

void Transformer::DropRows(absl::Span<const PassSlice> slices) {
  KeepRows([&](const Row& row) { return !slices[row.slice].dropped; });
}

void Transformer::EmbedRows() {
  ids_.clear();
  for (const Row& row : rows_) ids_.push_back(row.token);
  Embed(ops_, weights_.embedding, ids_, residual_.as<float>());
}

void Transformer::ComputeLayer(int layer, absl::Span<PassSlice> slices) {
  ProjectQueryKeyValue(layer);
  RopeAndStoreRows(layer, slices);
  if (layer + 1 == config_.layers) {
    // From here on a row serves its own logits only.
    KeepRows([](const Row& row) { return row.wants_logits; });
    if (rows_.empty()) return;
  }
  Attend(layer, slices);
  FeedForward(weights_.layers[layer]);
}

// q, k, v = norm(x) * Wq, norm(x) * Wk, norm(x) * Wv. Each sub-layer, and the logits, first add
// what the one before has left in delta_.
void Transformer::ProjectQueryKeyValue(int index) {
  const LayerWeights& layer = weights_.layers[index];
  const int64_t rows = static_cast<int64_t>(rows_.size());
  AddRmsNormQuantize(ops_, index > 0 ? delta_.as<float>() : nullptr, layer.attention_norm.data(),
                     config_.norm_epsilon, rows, config_.width, residual_.as<float>(), &input_);
  const Product products[] = {
      {&layer.query, BiasOrNull(layer.query_bias), query_.as<float>(), config_.query_width()},
      {&layer.key, BiasOrNull(layer.key_bias), key_.as<float>(), config_.kv_width()},
      {&layer.value, BiasOrNull(layer.value_bias), value_.as<float>(), config_.kv_width()},
  };
  MatMul(ops_, input_, products);
}

// q, k = rope(q), rope(k); k and v go into the caches.
void Transformer::RopeAndStoreRows(int layer, absl::Span<PassSlice> slices) {
  store_items_.clear();
  for (size_t row = 0; row < rows_.size(); ++row) {
    store_items_.push_back({.query = query_.as<float>() + row * config_.query_width(),
                            .key = key_.as<float>() + row * config_.kv_width(),
                            .value = value_.as<float>() + row * config_.kv_width(),
                            .position = positions_[row],
                            .kv = slices[rows_[row].slice].cache->layer(layer)});
  }
  const Rotation rotation = {
      .table = rope_table_.as<float>(),
      .width = config_.rope_width,
      .interleaved = config_.architecture->rope_pairing == RopePairing::kInterleaved};
  RopeAndStore(ops_, attention_shape(), rotation, store_items_);
}

// delta = attention(q, keys, values) * Wo: each row sees its own sequence up to itself.
void Transformer::Attend(int layer, absl::Span<PassSlice> slices) {
  const int64_t rows = static_cast<int64_t>(rows_.size());
  items_.clear();
  for (int64_t row = 0; row < rows; ++row) {
    items_.push_back({.query = query_.as<float>() + row * config_.query_width(),
                      .kv = slices[rows_[row].slice].cache->layer(layer),
                      .length = positions_[row] + 1,
                      .out = attended_.as<float>() + row * config_.query_width()});
  }
  Attention(ops_, attention_shape(), items_);
  Quantize(ops_, attended_.as<float>(), rows, config_.query_width(), &input_);
  const Product product = {&weights_.layers[layer].attention_output, nullptr, delta_.as<float>(),
                           config_.width};
  MatMul(ops_, input_, {&product, 1});
}

// delta = (silu(norm(x) * Wgate) * (norm(x) * Wup)) * Wdown.
void Transformer::FeedForward(const LayerWeights& layer) {
  const int64_t rows = static_cast<int64_t>(rows_.size());
  AddRmsNormQuantize(ops_, delta_.as<float>(), layer.ffn_norm.data(), config_.norm_epsilon, rows,
                     config_.width, residual_.as<float>(), &input_);
  const Product products[] = {
      {&layer.gate, nullptr, gate_.as<float>(), config_.ffn_width},
      {&layer.up, nullptr, up_.as<float>(), config_.ffn_width},
  };
  MatMul(ops_, input_, products);
  SiluMulQuantize(ops_, gate_.as<float>(), up_.as<float>(), rows, config_.ffn_width, &input_);
  const Product product = {&layer.down, nullptr, delta_.as<float>(), config_.width};
  MatMul(ops_, input_, {&product, 1});
}

// logits = norm(x) * Woutput, of the rows that are left: those that want them. Their statistics are
// taken on the way.
void Transformer::ComputeLogits(absl::Span<PassSlice> slices) {
  const int64_t rows = static_cast<int64_t>(rows_.size());
  if (rows == 0) return;
  const int64_t vocabulary = weights_.vocabulary();
  assert(rows * vocabulary * sizeof(float) <= logits_.size());
  AddRmsNormQuantize(ops_, delta_.as<float>(), weights_.output_norm.data(), config_.norm_epsilon,
                     rows, config_.width, residual_.as<float>(), &input_);
  const Product product = {&weights_.output, nullptr, logits_.as<float>(), vocabulary};
  MatMulInBlocks(ops_, input_, product, kLogitBlock, [&](int64_t begin, int64_t end) {
    for (int64_t row = 0; row < rows; ++row) {
      if (slices[rows_[row].slice].wants_stats) MeasureLogits(row, begin, end);
    }
  });
  int64_t first = 0;
  for (PassSlice& slice : slices) {
    if (slice.dropped) continue;
    const size_t wanted = slice.wanted_logits;
    slice.logits = {logits_.as<float>() + first * vocabulary, wanted * vocabulary};
    if (slice.wants_stats) {
      FoldStats(first, slice.wanted_logits);
      slice.stats = {stats_.as<LogitStats>() + first, wanted};
    }
    first += slice.wanted_logits;
  }
}

// Of the logits [begin, end) of one row; begin is the first of a block.
void Transformer::MeasureLogits(int64_t row, int64_t begin, int64_t end) {
  const int64_t vocabulary = weights_.vocabulary();
  const float* logits = logits_.as<float>() + row * vocabulary;
  LogitBlock* blocks = logit_blocks_.as<LogitBlock>() + row * LogitBlocks(vocabulary);
  for (; begin < end; begin += kLogitBlock) {
    const size_t count = std::min(kLogitBlock, end - begin);
    blocks[begin / kLogitBlock] = ComputeLogitBlock({logits + begin, count});
  }
}

void Transformer::FoldStats(int64_t first, int64_t count) {
  const size_t vocabulary = weights_.vocabulary();
  const size_t blocks = LogitBlocks(vocabulary);
  for (int64_t row = first; row < first + count; ++row) {
    stats_.as<LogitStats>()[row] =
        FoldLogitBlocks({logit_blocks_.as<LogitBlock>() + row * blocks, blocks},
                        {logits_.as<float>() + row * vocabulary, vocabulary});
  }
}

// Takes rows out of the pass. What carries state: x; between layers what is still to be added to
// it; within the last layer q.
template <typename Keep>
void Transformer::KeepRows(Keep keep) {
  const size_t width = config_.width;
  const size_t query_width = config_.query_width();
  float* x = residual_.as<float>();
  float* delta = delta_.as<float>();
  float* q = query_.as<float>();
  size_t kept = 0;
  for (size_t row = 0; row < rows_.size(); ++row) {
    if (!keep(rows_[row])) continue;
    if (kept != row) {
      rows_[kept] = rows_[row];
      positions_[kept] = positions_[row];
      std::memcpy(x + kept * width, x + row * width, width * sizeof(float));
      std::memcpy(delta + kept * width, delta + row * width, width * sizeof(float));
      std::memcpy(q + kept * query_width, q + row * query_width, query_width * sizeof(float));
    }
    ++kept;
  }
  rows_.resize(kept);
  positions_.resize(kept);
}

}  // namespace nearfar
