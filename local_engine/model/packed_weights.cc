#include "local_engine/model/packed_weights.h"

#include <algorithm>
#include <cassert>
#include <utility>
#include <vector>

#include "local_engine/packing/packing.h"

namespace nearfar {
namespace {

// Every matrix that is packed, once: an output that is the embedding is the same bytes.
template <typename Weights>  // ModelWeights, const or not
auto PackedMatrices(Weights& weights) {
  std::vector<decltype(&weights.output)> matrices;
  for (auto& layer : weights.layers) {
    for (auto* matrix : MatricesOf(layer)) matrices.push_back(matrix);
  }
  matrices.push_back(&weights.output);
  std::erase_if(matrices, [](const Matrix* m) { return FindPackedFormat(m->dtype) == nullptr; });
  return matrices;
}

int64_t BytesOf(const Matrix& matrix) {
  return FindPackedFormat(matrix.dtype)->MatrixBytes(matrix.rows, matrix.cols);
}

// Strips of one chunk: some hundred microseconds of work.
constexpr int64_t kChunkBytes = 1 << 18;

void PackMatrix(const Matrix& from, ThreadPool* pool, uint8_t* to) {
  const PackedFormat& format = *FindPackedFormat(from.dtype);
  const int64_t strip_bytes = format.StripBytes(from.cols);
  const int64_t strips = (from.rows + kStripRows - 1) / kStripRows;
  const int64_t grain = std::max<int64_t>(kChunkBytes / strip_bytes, 1);
  pool->Run((strips + grain - 1) / grain, [&](int64_t chunk, int) {
    const int64_t end = std::min((chunk + 1) * grain, strips);
    for (int64_t strip = chunk * grain; strip < end; ++strip) {
      const int64_t row = strip * kStripRows;
      const int rows = static_cast<int>(std::min<int64_t>(kStripRows, from.rows - row));
      format.pack(from.data + row * from.stride, from.stride, rows, from.cols,
                  to + strip * strip_bytes);
    }
  });
}

}  // namespace

int64_t PackedBytes(const ModelWeights& weights) {
  int64_t bytes = 0;
  for (const Matrix* matrix : PackedMatrices(weights)) bytes += BytesOf(*matrix);
  return bytes;
}

absl::StatusOr<PackedWeights> PackWeights(const ModelWeights& weights, const GgufFile& file,
                                          ThreadPool* pool) {
  absl::StatusOr<AlignedBuffer> buffer = AlignedBuffer::Create(PackedBytes(weights));
  if (!buffer.ok()) return buffer.status();
  PackedMemory memory{.own = *std::move(buffer), .file = nullptr, .bytes = {}};
  memory.bytes = {memory.own.data(), memory.own.size()};
  uint8_t* next = memory.own.data();
  for (const Matrix* from : PackedMatrices(weights)) {
    PackMatrix(*from, pool, next);
    file.ReleasePages({from->data, static_cast<size_t>(from->rows * from->stride)});
    next += BytesOf(*from);
  }
  return PlacePackedWeights(weights, std::move(memory));
}

PackedWeights PlacePackedWeights(const ModelWeights& weights, PackedMemory memory) {
  PackedWeights packed{.weights = weights, .memory = std::move(memory)};
  assert(static_cast<int64_t>(packed.memory.bytes.size()) == PackedBytes(weights));
  const uint8_t* next = packed.memory.bytes.data();
  for (Matrix* matrix : PackedMatrices(packed.weights)) {
    const int64_t bytes = BytesOf(*matrix);
    matrix->data = next;
    matrix->stride = FindPackedFormat(matrix->dtype)->StripBytes(matrix->cols);
    matrix->packed = true;
    next += bytes;
  }
  if (weights.embedding.data == weights.output.data) {
    packed.weights.embedding = packed.weights.output;
  }
  return packed;
}

}  // namespace nearfar
