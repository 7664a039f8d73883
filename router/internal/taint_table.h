// Which sessions must stay on the device. Keeps salted hashes, not names, and forgets none: beyond
// its capacity the oldest move into a Bloom filter, which may taint a session too many, never one
// too few. With a file the sessions outlast the process.
//
// Fails closed: while the file cannot be read, or does not hold all that it should, every session
// counts as tainted.
//
// Thread-safe. Held by tests/router/internal/small_parts_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_TAINT_TABLE_H_
#define NEARFAR_ROUTER_INTERNAL_TAINT_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "router/internal/taint_file.h"

namespace nearfar::internal {

class TaintTable {
 public:
  // `path`: the file; "" = memory only. `exact_entries` bounds the memory: about 40 bytes for each
  // exact entry, and 1 MiB once they overflow.
  explicit TaintTable(const std::string& path = "", size_t exact_entries = 100'000);

  // On the disk, too, when it returns; where that fails, the table closes and tries again later.
  void Add(std::string_view session_key);
  bool Contains(std::string_view session_key) const;
  // The user's own act. Errors: FailedPrecondition (the session has moved into the filter, and
  // other sessions share its bits: it stays tainted), Unavailable (the file cannot be written, or
  // the table is closed).
  absl::Status Clear(std::string_view session_key);
  // Writes what a full disk refused; without effect where nothing waits.
  void WriteWaiting();

  // Why every session counts as tainted; OK while only those that were added do.
  absl::Status status() const;
  // The name that `target` gets for a session instead of its key: the same for each call, and
  // another one for each target.
  std::string FarName(std::string_view target, std::string_view session_key) const;

 private:
  void Load(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Close(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // False: it was there.
  bool Remember(uint64_t entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MoveOldestToFilter() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool InFilter(uint64_t entry) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Write() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string HashOf(std::string_view session_key) const;

  const size_t exact_entries_;
  std::string salt_;  // set once, by the constructor
  mutable absl::Mutex mu_;
  std::optional<TaintFile> file_ ABSL_GUARDED_BY(mu_);
  std::deque<std::string> waiting_ ABSL_GUARDED_BY(mu_);  // hashes that the file lacks
  absl::Status closed_ ABSL_GUARDED_BY(mu_);
  std::unordered_set<uint64_t> exact_ ABSL_GUARDED_BY(mu_);
  std::deque<uint64_t> order_ ABSL_GUARDED_BY(mu_);  // oldest first; may hold cleared ones
  std::vector<bool> filter_ ABSL_GUARDED_BY(mu_);    // empty until the first move
};

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_TAINT_TABLE_H_
