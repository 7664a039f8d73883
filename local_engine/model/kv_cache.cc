#include "local_engine/model/kv_cache.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace nearfar {

KvCache::KvCache(const ModelConfig& config, DType type, int context)
    : layer_bytes_(config.kv_heads * KvPartBytes(type, config.head_width)),
      part_bytes_(config.layers * layer_bytes_),
      context_(context) {}

int64_t KvCache::bytes() const { return static_cast<int64_t>(parts_.size()) * part_bytes_; }

absl::Status KvCache::Reserve(int positions) {
  if (positions > context_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the context holds ", context_, " tokens and ", positions, " are needed"));
  }
  if (positions <= capacity_) return absl::OkStatus();
  const int64_t wanted =
      std::min<int64_t>(context_, std::max<int64_t>(positions, 2 * int64_t{capacity_}));
  const int64_t parts = (wanted + kAttentionPart - 1) / kAttentionPart;
  const int64_t more = parts - static_cast<int64_t>(parts_.size());
  absl::StatusOr<AlignedBuffer> grown = AlignedBuffer::Create(more * part_bytes_);
  if (!grown.ok()) return grown.status();
  for (int64_t i = 0; i < more; ++i) parts_.push_back(grown->data() + i * part_bytes_);
  grown_.push_back(*std::move(grown));
  capacity_ = static_cast<int>(std::min<int64_t>(context_, parts * kAttentionPart));
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
  grown_.clear();
  parts_.clear();
  capacity_ = 0;
  length_ = 0;
}

}  // namespace nearfar
