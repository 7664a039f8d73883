// Which sessions must stay on the device. Keeps hashes, not names, and forgets none: beyond its
// capacity the oldest move into a Bloom filter, which may taint a session too many, never one too
// few. Thread-safe. Held by tests/router/internal/small_parts_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_TAINT_TABLE_H_
#define NEARFAR_ROUTER_INTERNAL_TAINT_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace nearfar::internal {

class TaintTable {
 public:
  // Bounds the memory: about 40 bytes for each exact entry, and 1 MiB once they overflow.
  explicit TaintTable(size_t exact_entries = 100'000) : exact_entries_(exact_entries) {}

  void Add(std::string_view session_key);
  bool Contains(std::string_view session_key) const;
  // The user's own act. A session that has moved into the filter stays tainted: other sessions
  // share its bits.
  void Clear(std::string_view session_key);

 private:
  void MoveOldestToFilter() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const size_t exact_entries_;
  mutable absl::Mutex mu_;
  std::unordered_set<uint64_t> exact_ ABSL_GUARDED_BY(mu_);
  std::deque<uint64_t> order_ ABSL_GUARDED_BY(mu_);  // oldest first; may hold cleared ones
  std::vector<bool> filter_ ABSL_GUARDED_BY(mu_);    // empty until the first move
};

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_TAINT_TABLE_H_
