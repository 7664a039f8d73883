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

TaintTable::TaintTable(const std::string& path, size_t exact_entries)
    : exact_entries_(exact_entries) {
  absl::MutexLock hold(&mu_);
  if (!path.empty()) Load(path);
  if (!salt_.empty()) return;
  absl::StatusOr<std::string> salt = NewSalt();
  if (salt.ok()) {
    salt_ = *std::move(salt);
  } else {
    Close(salt.status());
  }
}

void TaintTable::Load(const std::string& path) {
  absl::StatusOr<TaintFile> file = TaintFile::Open(path);
  if (!file.ok()) return Close(file.status());
  absl::StatusOr<std::vector<std::string>> hashes = file->Read();
  if (!hashes.ok()) return Close(hashes.status());
  for (const std::string& hash : *hashes) Remember(EntryOf(hash));
  salt_ = file->salt();
  file_.emplace(*std::move(file));
}

void TaintTable::Close(const absl::Status& why) {
  closed_ = absl::UnavailableError(
      absl::StrCat("taint: ", why.message(),
                   ": no session leaves the device until this is mended (make room, or ",
                   "move the file away: that forgets which sessions were tainted)"));
}

std::string TaintTable::HashOf(std::string_view session_key) const {
  return SaltedHash(salt_, "taint", session_key);
}

std::string TaintTable::FarName(std::string_view target, std::string_view session_key) const {
  return SaltedHash(salt_, absl::StrCat("far ", std::string(target)), session_key);
}

void TaintTable::Add(std::string_view session_key) {
  std::string hash = HashOf(session_key);
  absl::MutexLock hold(&mu_);
  if (!Remember(EntryOf(hash)) || !file_) return;
  waiting_.push_back(std::move(hash));
  Write();
}

bool TaintTable::Remember(uint64_t entry) {
  if (!exact_.insert(entry).second) return false;
  order_.push_back(entry);
  while (order_.size() > exact_entries_) MoveOldestToFilter();
  return true;
}

void TaintTable::MoveOldestToFilter() {
  const uint64_t entry = order_.front();
  order_.pop_front();
  if (exact_.erase(entry) == 0) return;  // cleared meanwhile
  filter_.resize(kFilterBits);
  for (int i = 0; i < kProbes; ++i) filter_[Probe(entry, i)] = true;
}

void TaintTable::WriteWaiting() {
  absl::MutexLock hold(&mu_);
  if (!waiting_.empty()) Write();
}

void TaintTable::Write() {
  while (!waiting_.empty()) {
    absl::Status written = file_->Add(waiting_.front());
    if (!written.ok()) return Close(written);
    waiting_.pop_front();
  }
  closed_ = absl::OkStatus();
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
  return !closed_.ok() || exact_.count(entry) > 0 || InFilter(entry);
}

absl::Status TaintTable::Clear(std::string_view session_key) {
  const std::string hash = HashOf(session_key);
  const uint64_t entry = EntryOf(hash);
  absl::MutexLock hold(&mu_);
  if (!closed_.ok()) return closed_;
  if (InFilter(entry)) {
    return absl::FailedPreconditionError(
        "taint: so many sessions are tainted that this one is no longer told from the others: it "
        "stays on the device (begin a new session)");
  }
  if (file_) {
    absl::Status removed = file_->Remove(hash);
    if (!removed.ok()) return removed;
  }
  exact_.erase(entry);
  return absl::OkStatus();
}

absl::Status TaintTable::status() const {
  absl::MutexLock hold(&mu_);
  return closed_;
}

}  // namespace nearfar::internal
