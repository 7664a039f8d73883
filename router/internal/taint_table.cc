// See taint_table.h.

#include "router/internal/taint_table.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "router/internal/salted_hash.h"

namespace nearfar::internal {
namespace {

constexpr size_t kFilterBits = size_t{1} << 23;
constexpr int kProbes = 6;

// Double hashing (Kirsch and Mitzenmacher 2006): probe i looks at h + i g.
size_t Probe(uint64_t entry, int i) {
  const uint64_t step = (entry >> 32) | 1;
  return (entry + static_cast<uint64_t>(i) * step * 0x9E3779B97F4A7C15ULL) % kFilterBits;
}

// In memory the first 64 bits of a hash stand for it.
uint64_t EntryOf(const std::string& hash) {
  uint64_t entry = 0;
  (void)absl::SimpleHexAtoi(hash.substr(0, 16), &entry);
  return entry;
}

}  // namespace

TaintTable::TaintTable(TaintOptions options) : options_(std::move(options)) {
  absl::MutexLock hold_file(&file_mu_);
  absl::MutexLock hold(&mu_);
  if (!options_.path.empty()) Load();
  if (!salt_.empty()) return;
  absl::StatusOr<std::string> salt = NewSalt();
  if (salt.ok()) {
    salt_ = *std::move(salt);
  } else {
    Close(salt.status());
  }
}

void TaintTable::Load() {
  absl::StatusOr<TaintFile> file =
      options_.read_only ? TaintFile::Look(options_.path) : TaintFile::Open(options_.path);
  if (options_.read_only && absl::IsNotFound(file.status())) return;  // nothing was ever tainted
  if (!file.ok()) return Close(file.status());
  const auto remember = [this](const std::string& hash)
                            ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { Remember(EntryOf(hash)); };
  const absl::Status read = file->Read(remember);
  if (!read.ok()) return Close(read);
  salt_ = file->salt();
  if (!options_.read_only) file_.emplace(*std::move(file));
}

void TaintTable::Close(const absl::Status& why) {
  // Of a file that another process owns, the message itself says what to do.
  const char* advice = absl::IsFailedPrecondition(why)
                           ? ""
                           : " (make room, or move the file away: that forgets which sessions were "
                             "tainted)";
  closed_ = absl::UnavailableError(absl::StrCat(
      "taint: ", why.message(), ": no session leaves the device until this is mended", advice));
}

absl::Status TaintTable::Closed() const {
  if (!closed_.ok() || !Full()) return closed_;
  return absl::UnavailableError(
      absl::StrCat("taint: more than ", options_.max_entries,
                   " sessions are tainted: no session leaves the device (to forget them all, stop "
                   "the program",
                   options_.path.empty() ? "" : " and move away ", options_.path, ")"));
}

std::string TaintTable::HashOf(std::string_view session_key) const {
  return SaltedHash(salt_, "taint", session_key);
}

std::string TaintTable::FarName(std::string_view target, std::string_view session_key) const {
  return SaltedHash(salt_, absl::StrCat("far ", std::string(target)), session_key);
}

void TaintTable::Add(std::string_view session_key) {
  std::string hash = HashOf(session_key);
  {
    absl::MutexLock hold(&mu_);
    // Beyond the last one that a full table took, no more need to be known.
    if (!Full() && Remember(EntryOf(hash))) waiting_.push_back(std::move(hash));
  }
  // Also where another thread added it: that one may still be writing.
  absl::MutexLock hold_file(&file_mu_);
  Write();
}

bool TaintTable::Remember(uint64_t entry) {
  if (!exact_.insert(entry).second) return false;
  // One that comes back out of the filter was counted before. A start that reads the file finds no
  // more in its filter than there was, so it counts no fewer, and a full table stays full.
  if (!InFilter(entry)) ++known_;
  order_.push_back(entry);
  while (order_.size() > options_.exact_entries) MoveOldestToFilter();
  return true;
}

void TaintTable::MoveOldestToFilter() {
  const uint64_t entry = order_.front();
  order_.pop_front();
  if (exact_.erase(entry) == 0) return;  // cleared meanwhile
  filter_.resize(kFilterBits);
  for (int i = 0; i < kProbes; ++i) filter_[Probe(entry, i)] = true;
}

void TaintTable::Retry() {
  {
    absl::MutexLock hold(&mu_);
    if (closed_.ok() || waiting_.empty()) return;
  }
  if (!file_mu_.TryLock()) return;  // who holds it tries
  Write();
  file_mu_.Unlock();
}

void TaintTable::Write() {
  std::vector<std::string> batch;
  {
    absl::MutexLock hold(&mu_);
    batch.swap(waiting_);
  }
  if (batch.empty() || !file_) return;
  const absl::Status written = file_->Add(batch);
  absl::MutexLock hold(&mu_);
  if (written.ok()) {
    closed_ = absl::OkStatus();
    return;
  }
  Close(written);
  waiting_.insert(waiting_.begin(), batch.begin(), batch.end());
}

void TaintTable::LetGo() {
  absl::MutexLock hold_file(&file_mu_);
  file_.reset();
  absl::MutexLock hold(&mu_);
  Close(absl::FailedPreconditionError("the router has ended"));
}

bool TaintTable::InFilter(uint64_t entry) const {
  if (filter_.empty()) return false;
  for (int i = 0; i < kProbes; ++i) {
    if (!filter_[Probe(entry, i)]) return false;
  }
  return true;
}

bool TaintTable::Contains(std::string_view session_key) const {
  const uint64_t entry = EntryOf(HashOf(session_key));
  absl::MutexLock hold(&mu_);
  return !closed_.ok() || Full() || exact_.count(entry) > 0 || InFilter(entry);
}

absl::Status TaintTable::Clear(std::string_view session_key) {
  if (options_.read_only) {
    return absl::FailedPreconditionError("taint: the file is open for reading only");
  }
  const std::string hash = HashOf(session_key);
  const uint64_t entry = EntryOf(hash);
  absl::MutexLock hold_file(&file_mu_);
  Write();  // or what waits would taint it again at the next start
  absl::MutexLock hold(&mu_);
  const absl::Status closed = Closed();
  if (!closed.ok()) return closed;
  if (InFilter(entry)) {
    return absl::FailedPreconditionError(
        "taint: so many sessions are tainted that this one is no longer told from the others: it "
        "stays on the device (begin a new session)");
  }
  if (file_) {
    absl::Status removed = file_->Remove(hash);
    if (!removed.ok()) return removed;
  }
  known_ -= exact_.erase(entry);
  return absl::OkStatus();
}

absl::Status TaintTable::status() const {
  absl::MutexLock hold(&mu_);
  return Closed();
}

}  // namespace nearfar::internal
