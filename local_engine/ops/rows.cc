// The ops that work on whole rows of activations, one token after the other.

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "local_engine/ops/ops.h"
#include "local_engine/ops/parallel.h"
#include "local_engine/ops/workspace.h"
#include "local_engine/packing/packing.h"
#include "local_engine/quant/formats.h"

namespace nearfar {
namespace {

// Elements that one chunk should have: below this a second thread costs more than it brings.
constexpr int64_t kChunkElements = 8192;

int64_t TokensPerChunk(int64_t width) {
  const int64_t tokens = kChunkElements / (width > 0 ? width : 1);
  return tokens > 0 ? tokens : 1;
}

// Gives `produce` a place for token's row of f32, then quantizes what it put there.
template <typename Produce>
void FillToken(const OpContext& context, int worker, int64_t token, Activations* out,
               Produce produce) {
  const int64_t width = out->width();
  float* row = out->floats(token);
  if (row == nullptr) {
    const int64_t bytes = width * static_cast<int64_t>(sizeof(float));
    row = reinterpret_cast<float*>(context.workspace->OfWorker(worker, bytes));
  }
  produce(row);
  if (!out->forms().quantized) return;
  context.kernels->quantize(row, width, out->values(token), out->blocks(token));
}

// produce(token, row) for all tokens, in parallel.
template <typename Produce>
void FillTokens(const OpContext& context, int64_t tokens, int64_t width, Activations* out,
                Produce produce) {
  out->Reshape(tokens, width);
  RunRanges(context.pool, tokens, TokensPerChunk(width),
            [&](int64_t begin, int64_t end, int worker) {
              for (int64_t token = begin; token < end; ++token) {
                FillToken(context, worker, token, out, [&](float* row) { produce(token, row); });
              }
            });
}

void Store(const KernelTable& kernels, const AttentionShape& shape, const StoreItem& item) {
  const KvKernel& kernel = FindKvKernel(kernels, shape.kv_type);
  const int64_t part = item.position / kAttentionPart;
  const int position = static_cast<int>(item.position % kAttentionPart);
  for (int64_t head = 0; head < shape.kv_heads; ++head) {
    const int64_t from = head * shape.head_width;
    kernel.store(item.key + from, item.value + from, shape.head_width, position,
                 shape.Part(item.kv, part, head));
  }
}

}  // namespace

void Embed(const OpContext& context, const Matrix& table, absl::Span<const int32_t> ids,
           float* out) {
  const QuantFormat* format = FindFormat(table.dtype);
  assert(format != nullptr);
  const int64_t count = static_cast<int64_t>(ids.size());
  const PackedFormat* packed = table.packed ? FindPackedFormat(table.dtype) : nullptr;
  RunRanges(
      context.pool, count, TokensPerChunk(table.cols), [&](int64_t begin, int64_t end, int worker) {
        for (int64_t i = begin; i < end; ++i) {
          assert(ids[i] >= 0 && ids[i] < table.rows);
          const uint8_t* row = table.data + ids[i] * table.stride;
          if (packed != nullptr) {
            uint8_t* unpacked = context.workspace->OfWorker(worker, format->RowBytes(table.cols));
            packed->unpack(table.data + ids[i] / kStripRows * table.stride, ids[i] % kStripRows,
                           table.cols, unpacked);
            row = unpacked;
          }
          format->decode(row, out + i * table.cols, table.cols);
        }
      });
}

void Quantize(const OpContext& context, const float* x, int64_t tokens, int64_t width,
              Activations* out) {
  out->Reshape(tokens, width);
  RunRanges(context.pool, tokens, TokensPerChunk(width), [&](int64_t begin, int64_t end, int) {
    for (int64_t token = begin; token < end; ++token) {
      const float* row = x + token * width;
      if (out->forms().floats) {
        std::memcpy(out->floats(token), row, static_cast<size_t>(width) * sizeof(float));
      }
      if (out->forms().quantized) {
        context.kernels->quantize(row, width, out->values(token), out->blocks(token));
      }
    }
  });
}

void AddRmsNormQuantize(const OpContext& context, const float* delta, const float* weight,
                        float epsilon, int64_t tokens, int64_t width, float* x, Activations* out) {
  FillTokens(context, tokens, width, out, [&](int64_t token, float* row) {
    const int64_t at = token * width;
    if (delta != nullptr) context.kernels->add(x + at, delta + at, width);
    context.kernels->rms_norm(x + at, weight, epsilon, width, row);
  });
}

void SiluMulQuantize(const OpContext& context, const float* gate, const float* up, int64_t tokens,
                     int64_t width, Activations* out) {
  FillTokens(context, tokens, width, out, [&](int64_t token, float* row) {
    context.kernels->silu_mul(gate + token * width, up + token * width, width, row);
  });
}

void BuildRopeTable(float base, const float* factors, int64_t rope_width, int64_t begin,
                    int64_t end, float* table) {
  for (int64_t i = 0; i < rope_width / 2; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(rope_width);
    const double frequency = std::pow(static_cast<double>(base), exponent);
    const double factor = factors == nullptr ? 1.0 : factors[i];
    for (int64_t position = begin; position < end; ++position) {
      const double angle = static_cast<double>(position) * frequency / factor;
      table[position * rope_width + 2 * i] = static_cast<float>(std::cos(angle));
      table[position * rope_width + 2 * i + 1] = static_cast<float>(std::sin(angle));
    }
  }
}

void RopeAndStore(const OpContext& context, const AttentionShape& shape, const Rotation& rotation,
                  absl::Span<const StoreItem> items) {
  const auto rotate = [&](float* x, int64_t heads, int64_t position) {
    context.kernels->rope({.x = x,
                           .table = rotation.table + position * rotation.width,
                           .heads = heads,
                           .head_width = shape.head_width,
                           .rope_width = rotation.width,
                           .interleaved = rotation.interleaved});
  };
  const int64_t width = (shape.heads + 2 * shape.kv_heads) * shape.head_width;
  // The keys of a group share cache lines, which threads should not take from each other.
  const int64_t grain = std::max<int64_t>(TokensPerChunk(width), kKeyGroup);
  RunRanges(context.pool, static_cast<int64_t>(items.size()), grain,
            [&](int64_t begin, int64_t end, int) {
              for (int64_t i = begin; i < end; ++i) {
                rotate(items[i].query, shape.heads, items[i].position);
                rotate(items[i].key, shape.kv_heads, items[i].position);
                Store(*context.kernels, shape, items[i]);
              }
            });
}

}  // namespace nearfar
