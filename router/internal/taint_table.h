// Which sessions must stay on the device. Keeps salted hashes, not names, and forgets none: beyond
// `exact_entries` the oldest move into a Bloom filter, which may taint a session too many (about
// one in a hundred of the others, when it is full), never one too few. With a file the sessions
// outlast the process.
//
// Fails closed: while the file cannot be read, is another process's, or does not hold all that it
// should, and for good once more than `max_entries` sessions are tainted, every session counts as
// tainted.
//
// Thread-safe. What asks never waits for the disk. Held by
// tests/router/internal/small_parts_test.cc.

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

struct TaintOptions {
  std::string path;        // the file; "" = memory only
  bool read_only = false;  // read it once, own and write nothing: what is added stays in memory
  // Sessions that can be cleared one by one: about 40 bytes of memory for each, and 1 MiB once they
  // overflow.
  size_t exact_entries = 100'000;
  // Bounds the file (about 160 bytes for each) and how full the filter gets.
  size_t max_entries = 1'000'000;
};

class TaintTable {
 public:
  explicit TaintTable(TaintOptions options = {});

  // On the disk, too, when it returns; where that fails, the table closes and tries again later.
  void Add(std::string_view session_key);
  bool Contains(std::string_view session_key) const;
  // The user's own act. Errors: FailedPrecondition (the session has moved into the filter, and
  // other sessions share its bits: it stays tainted; or the table is read_only), Unavailable (the
  // file cannot be written, or the table is closed).
  absl::Status Clear(std::string_view session_key);
  // Writes what a full disk refused; without effect where nothing was.
  void Retry();
  // Closes the file and the table: the next owner may have it.
  void LetGo();

  // Why every session counts as tainted; OK while only those that were added do.
  absl::Status status() const;
  // The name that `target` gets for a session instead of its key: the same for each call, and
  // another one for each target.
  std::string FarName(std::string_view target, std::string_view session_key) const;

 private:
  void Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(file_mu_, mu_);
  void Close(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Why the table is closed; OK = open.
  absl::Status Closed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Full() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return known_ > options_.max_entries; }
  // False: it was there.
  bool Remember(uint64_t entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MoveOldestToFilter() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool InFilter(uint64_t entry) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Writes what waits, all in one transaction.
  void Write() ABSL_EXCLUSIVE_LOCKS_REQUIRED(file_mu_) ABSL_LOCKS_EXCLUDED(mu_);
  std::string HashOf(std::string_view session_key) const;

  const TaintOptions options_;
  std::string salt_;  // set once, by the constructor
  // Held across an fsync, as mu_ is by Clear alone.
  absl::Mutex file_mu_ ABSL_ACQUIRED_BEFORE(mu_);
  std::optional<TaintFile> file_ ABSL_GUARDED_BY(file_mu_);
  mutable absl::Mutex mu_;
  std::vector<std::string> waiting_ ABSL_GUARDED_BY(mu_);  // hashes that the file lacks
  absl::Status closed_ ABSL_GUARDED_BY(mu_);
  std::unordered_set<uint64_t> exact_ ABSL_GUARDED_BY(mu_);
  std::deque<uint64_t> order_ ABSL_GUARDED_BY(mu_);  // oldest first; may hold cleared ones
  std::vector<bool> filter_ ABSL_GUARDED_BY(mu_);    // empty until the first move
  size_t known_ ABSL_GUARDED_BY(mu_) = 0;            // in exact_ or moved into the filter
};

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_TAINT_TABLE_H_
