// See taint_table.h.

#include "router/internal/taint_table.h"

#include <functional>

namespace nearfar::internal {
namespace {

constexpr size_t kFilterBits = size_t{1} << 23;
constexpr int kProbes = 6;

uint64_t HashOf(std::string_view key) { return std::hash<std::string_view>()(key); }

// Double hashing (Kirsch and Mitzenmacher 2006): probe i looks at h + i g.
size_t Probe(uint64_t hash, int i) {
  const uint64_t step = (hash >> 32) | 1;
  return (hash + static_cast<uint64_t>(i) * step * 0x9E3779B97F4A7C15ULL) % kFilterBits;
}

}  // namespace

void TaintTable::Add(std::string_view session_key) {
  const uint64_t hash = HashOf(session_key);
  absl::MutexLock hold(&mu_);
  if (!exact_.insert(hash).second) return;
  order_.push_back(hash);
  while (order_.size() > exact_entries_) MoveOldestToFilter();
}

void TaintTable::MoveOldestToFilter() {
  const uint64_t hash = order_.front();
  order_.pop_front();
  if (exact_.erase(hash) == 0) return;  // cleared meanwhile
  filter_.resize(kFilterBits);
  for (int i = 0; i < kProbes; ++i) filter_[Probe(hash, i)] = true;
}

bool TaintTable::Contains(std::string_view session_key) const {
  const uint64_t hash = HashOf(session_key);
  absl::MutexLock hold(&mu_);
  if (exact_.count(hash) > 0) return true;
  if (filter_.empty()) return false;
  for (int i = 0; i < kProbes; ++i) {
    if (!filter_[Probe(hash, i)]) return false;
  }
  return true;
}

void TaintTable::Clear(std::string_view session_key) {
  absl::MutexLock hold(&mu_);
  exact_.erase(HashOf(session_key));
}

}  // namespace nearfar::internal
