#include "local_engine/model/kv_cache.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "local_engine/kernels/kernel_table.h"

namespace nearfar {
namespace {

size_t WholeGroups(int positions) {
  const size_t groups = (static_cast<size_t>(positions) + kKeyGroup - 1) / kKeyGroup;
  return groups * kKeyGroup;
}

}  // namespace

KvCache::KvCache(int layers, int kv_width, int context)
    : kv_width_(kv_width), context_(context), blocks_(2 * static_cast<size_t>(layers)) {}

int64_t KvCache::bytes() const {
  int64_t total = 0;
  for (const AlignedBuffer& block : blocks_) total += static_cast<int64_t>(block.size());
  return total;
}

absl::Status KvCache::Reserve(int positions) {
  if (positions > context_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the context holds ", context_, " tokens and ", positions, " are needed"));
  }
  if (positions <= capacity_) return absl::OkStatus();
  const int capacity = std::min(context_, std::max({positions, 2 * capacity_, kFirstPositions}));
  const size_t position_bytes = sizeof(uint16_t) * kv_width_;
  const size_t bytes = position_bytes * WholeGroups(capacity);
  // Layer by layer, so that at most one old block lives beside its new one. After a failure some
  // blocks are larger than capacity_ says, which is harmless.
  for (AlignedBuffer& block : blocks_) {
    absl::StatusOr<AlignedBuffer> grown = AlignedBuffer::Create(bytes);
    if (!grown.ok()) return grown.status();
    if (length_ > 0)
      std::memcpy(grown->data(), block.data(), position_bytes * WholeGroups(length_));
    block = *std::move(grown);
  }
  capacity_ = capacity;
  return absl::OkStatus();
}

void KvCache::Truncate(int length) {
  assert(length >= 0 && length <= length_);
  length_ = length;
}

void KvCache::Advance(int positions) {
  assert(length_ + positions <= capacity_);
  length_ += positions;
}

void KvCache::Release() {
  for (AlignedBuffer& block : blocks_) block = AlignedBuffer();
  capacity_ = 0;
  length_ = 0;
}

}  // namespace nearfar
