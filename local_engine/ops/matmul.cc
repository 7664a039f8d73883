// MatMul: cuts the rows of all products of one input into chunks and hands them to the kernels.

#include <algorithm>
#include <cassert>
#include <cstdint>

#include "local_engine/ops/ops.h"
#include "local_engine/ops/parallel.h"
#include "local_engine/ops/workspace.h"
#include "local_engine/packing/packing.h"

namespace nearfar {
namespace {

// Chunks for each thread: enough that a slow core does not hold the others, not so many that taking
// one shows.
constexpr int64_t kChunksPerThread = 12;
// Multiply-adds of the least chunk, a few microseconds of work.
constexpr int64_t kChunkWork = 1 << 16;

int64_t RoundUp(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// Rows of a chunk in whole steps, the same for all products of a call.
int64_t ChunkRows(const OpContext& context, const Activations& x, int64_t rows, int64_t step) {
  const int64_t fair = rows / (context.pool->size() * kChunksPerThread);
  const int64_t least = kChunkWork / std::max<int64_t>(x.width() * x.tokens(), 1);
  return RoundUp(std::max({fair, least, int64_t{1}}), step);
}

void RunProduct(const OpContext& context, int worker, const Activations& x, const Product& product,
                int64_t begin, int64_t end) {
  const Matrix& weights = *product.weights;
  const FormatKernel* kernel = FindFormatKernel(*context.kernels, weights.dtype);
  assert(kernel != nullptr);
  assert(weights.packed == (FindPackedFormat(weights.dtype) != nullptr));
  // Chunks begin with a strip, or are rows.
  const int64_t first = weights.packed ? begin / kStripRows : begin;
  kernel->matmul({.weights = weights.data + first * weights.stride,
                  .weight_stride = weights.stride,
                  .rows = end - begin,
                  .cols = weights.cols,
                  .x = x.view(),
                  .bias = product.bias == nullptr ? nullptr : product.bias + begin,
                  .out = product.out + begin,
                  .out_stride = product.out_stride,
                  .scratch = context.workspace->OfWorker(
                      worker, context.kernels->matmul_scratch_bytes(weights.cols))});
}

}  // namespace

void MatMul(const OpContext& context, const Activations& x, absl::Span<const Product> products) {
  int64_t rows = 0;
  for (const Product& product : products) {
    assert(product.weights->cols == x.width());
    rows += product.weights->rows;
  }
  if (x.tokens() == 0 || rows == 0) return;
  const int64_t chunk_rows = context.pool->size() == 1 ? RoundUp(rows, kStripRows)
                                                       : ChunkRows(context, x, rows, kStripRows);
  const auto chunks_of = [&](const Product& product) {
    return (product.weights->rows + chunk_rows - 1) / chunk_rows;
  };
  int64_t chunks = 0;
  for (const Product& product : products) chunks += chunks_of(product);
  context.pool->Run(chunks, [&](int64_t chunk, int worker) {
    const Product* product = products.data();
    for (; chunk >= chunks_of(*product); ++product) chunk -= chunks_of(*product);
    const int64_t begin = chunk * chunk_rows;
    RunProduct(context, worker, x, *product, begin,
               std::min(begin + chunk_rows, product->weights->rows));
  });
}

// One thread too works in chunks here: behind a whole product its beginning is no longer cached.
void MatMulInBlocks(const OpContext& context, const Activations& x, const Product& product,
                    int64_t block, absl::FunctionRef<void(int64_t begin, int64_t end)> then) {
  assert(block % kStripRows == 0);
  assert(product.weights->cols == x.width());
  const int64_t rows = product.weights->rows;
  RunRanges(context.pool, rows, ChunkRows(context, x, rows, block),
            [&](int64_t begin, int64_t end, int worker) {
              RunProduct(context, worker, x, product, begin, end);
              then(begin, end);
            });
}

}  // namespace nearfar
