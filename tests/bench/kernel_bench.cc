// Speed of the kernels alone, for each table that this CPU runs.
//   kernel_bench --benchmark_filter=avx2/.*/gemv
// "gemv": one token, weights far larger than the caches; bytes_per_second is what is read of them.
// "cached": one token, weights that stay in the L2 cache: the instructions' own limit.
// "batch_2" to "batch_16": as "gemv", with as many tokens.
// "gemm": 64 tokens; items_per_second counts operations (2 for a weight and a token).
// "attention": one token over 2048 positions of one KV head; bytes_per_second is keys and values,
// which stay in the L2 cache ("cached"), or are far more than the caches hold ("memory").

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "local_engine/base/aligned_buffer.h"
#include "local_engine/kernels/dispatch.h"
#include "local_engine/kernels/kernel_table.h"
#include "local_engine/ops/ops.h"
#include "local_engine/ops/workspace.h"
#include "local_engine/packing/packing.h"
#include "local_engine/quant/formats.h"

namespace nearfar {
namespace {

constexpr int64_t kCols = 1536;
constexpr int64_t kHeadWidth = 64;
constexpr int64_t kMostGroup = 16;  // query heads that share a KV head

void FillRandom(AlignedBuffer* buffer) {
  std::mt19937 random(1);
  uint32_t* words = buffer->as<uint32_t>();
  for (size_t i = 0; i < buffer->size() / 4; ++i) words[i] = random();
}

// Rows of random bytes, whose F16 scales may be anything: the time does not depend on them, except
// that subnormal sums are slow on some machines; the exponent of every 16-bit word is kept
// moderate.
AlignedBuffer RandomWeights(int64_t bytes) {
  AlignedBuffer weights(static_cast<size_t>(bytes));
  FillRandom(&weights);
  uint16_t* halves = weights.as<uint16_t>();
  for (size_t i = 0; i < weights.size() / 2; ++i) halves[i] = (halves[i] & 0xbfff) | 0x2000;
  return weights;
}

// A pool of its own and what the ops need beside it.
class Threads {
 public:
  Threads(const KernelTable& table, int count)
      : table_(table),
        pool_(ThreadPool::Create(count).value()),
        workspace_(Workspace::Create(table, count,
                                     {.width = kCols,
                                      .items = 1,
                                      .attention = {.heads = kMostGroup,
                                                    .kv_heads = 1,
                                                    .head_width = kHeadWidth,
                                                    .scale = 1}})
                       .value()) {}

  OpContext context() { return {&table_, pool_.get(), &workspace_}; }

 private:
  const KernelTable& table_;
  const std::unique_ptr<ThreadPool> pool_;
  Workspace workspace_;
};

void Product(benchmark::State& state, const KernelTable* table, const QuantFormat* format,
             int64_t weight_bytes, int64_t tokens) {
  const PackedFormat* packed = FindPackedFormat(format->dtype);
  const int64_t rows = weight_bytes / format->RowBytes(kCols) / kStripRows * kStripRows;
  const AlignedBuffer weights = RandomWeights(packed == nullptr ? rows * format->RowBytes(kCols)
                                                                : packed->MatrixBytes(rows, kCols));
  const Matrix matrix = {
      .dtype = format->dtype,
      .rows = rows,
      .cols = kCols,
      .data = weights.data(),
      .stride = packed == nullptr ? format->RowBytes(kCols) : packed->StripBytes(kCols),
      .packed = packed != nullptr};
  Threads threads(*table, static_cast<int>(state.range(0)));
  const OpContext context = threads.context();
  std::vector<float> x(tokens * kCols), out(tokens * rows);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 251) - 125;
  Activations input = Activations::Create({}, tokens, kCols).value();
  Quantize(context, x.data(), tokens, kCols, &input);
  const ::nearfar::Product products[] = {{&matrix, nullptr, out.data(), rows}};
  for (auto _ : state) {
    MatMul(context, input, products);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(weights.size()));
  state.SetItemsProcessed(state.iterations() * 2 * tokens * rows * kCols);
}

void AttentionAtDepth(benchmark::State& state, const KernelTable* table, DType type, int64_t group,
                      int64_t caches) {
  constexpr int64_t kDepth = 2048, kParts = kDepth / kAttentionPart;
  const int64_t part_bytes = KvPartBytes(type, kHeadWidth);
  AlignedBuffer memory = RandomWeights(caches * kParts * part_bytes);
  std::vector<uint8_t*> parts;
  for (int64_t i = 0; i < caches * kParts; ++i) {
    parts.push_back(memory.data() + i * part_bytes);
  }
  std::vector<float> query(group * kHeadWidth, 0.1f), out(group * kHeadWidth);
  Threads threads(*table, static_cast<int>(state.range(0)));
  int64_t turn = 0;
  for (auto _ : state) {
    const KvView kv = {parts.data() + turn++ % caches * kParts, 0};
    const AttentionItem item = {query.data(), kv, kDepth, out.data()};
    Attention(threads.context(), {group, 1, kHeadWidth, 0.125f, type}, {&item, 1});
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(state.iterations() * kParts * part_bytes);
}

void Register(const KernelTable& table, const QuantFormat& format) {
  const std::string name = std::string(table.name) + "/" + format.name;
  const auto add = [&](const char* kind, int64_t bytes, int64_t tokens) {
    benchmark::RegisterBenchmark((name + "/" + kind).c_str(), Product, &table, &format, bytes,
                                 tokens)
        ->Arg(1)
        ->Arg(2)
        ->UseRealTime();
  };
  add("gemv", 96 << 20, 1);
  add("batch_2", 96 << 20, 2);
  add("batch_4", 96 << 20, 4);
  add("batch_8", 96 << 20, 8);
  add("batch_16", 96 << 20, 16);
  add("cached", 512 << 10, 1);
  add("gemm", 1 << 20, 64);
}

void RegisterAttention(const KernelTable& table, int64_t group) {
  const auto add = [&](const char* name, DType type, const char* where, int64_t caches) {
    const std::string whole = std::string(table.name) + "/attention/" + name + "/group_" +
                              std::to_string(group) + "/" + where;
    benchmark::RegisterBenchmark(whole.c_str(), AttentionAtDepth, &table, type, group, caches)
        ->Arg(1)
        ->Arg(2)
        ->UseRealTime();
  };
  for (const auto& [where, caches] : {std::pair{"cached", 1}, std::pair{"memory", 192}}) {
    add("f16", DType::kF16, where, caches);
    add("q8_0", DType::kQ8_0, where, caches);
  }
}

}  // namespace
}  // namespace nearfar

int main(int argc, char** argv) {
  for (const nearfar::KernelChoice& choice : nearfar::AllKernels()) {
    if (!choice.supported(nearfar::ThisCpu()) || !choice.automatic) continue;
    for (const nearfar::QuantFormat& format : nearfar::AllFormats()) {
      nearfar::Register(*choice.table, format);
    }
    for (const int64_t group : {1, 3, 7}) nearfar::RegisterAttention(*choice.table, group);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 64;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
