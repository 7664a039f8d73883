#include "router/daemon/policy_reloader.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "policies/policy_file.h"

namespace nearfar::daemon {
namespace {

// These bytes and no others: the file may say something else by now.
absl::StatusOr<PolicyConfig> Parse(const absl::StatusOr<std::string>& text,
                                   const ReloaderOptions& options) {
  if (!text.ok()) return text.status();
  return ParsePolicy(*text, options.path, {options.search_paths});
}

}  // namespace

PolicyReloader::PolicyReloader(ReloaderOptions options, const PolicyConfig& current)
    : options_(std::move(options)),
      wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      watch_(options_.path) {
  state_.name = current.name;
  state_.revision = current.revision;
  // Much time may have passed since `current` was read: a model was loaded.
  const absl::StatusOr<std::string> text = ReadPolicyText(options_.path);
  const absl::StatusOr<PolicyConfig> now = Parse(text, options_);
  seen_ = text.value_or("");
  requested_ = !now.ok() || now->revision != current.revision;
  thread_ = std::thread([this] { Run(); });
}

PolicyReloader::~PolicyReloader() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  Wake();
  thread_.join();
  std::vector<std::function<void(const ReloadState&)>> waiting;
  ReloadState state;
  {
    absl::MutexLock lock(&mutex_);
    waiting.swap(waiting_);
    state = state_;
  }
  state.last = absl::UnavailableError("the daemon is shutting down");
  for (const auto& done : waiting) done(state);
  if (wake_fd_ >= 0) close(wake_fd_);
}

void PolicyReloader::Wake() {
  const uint64_t one = 1;
  // Fails only when it would overflow, and then the thread is awake.
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
}

void PolicyReloader::Request(std::function<void(const ReloadState& state)> done) {
  {
    absl::MutexLock lock(&mutex_);
    requested_ = true;
    if (done) waiting_.push_back(std::move(done));
  }
  Wake();
}

ReloadState PolicyReloader::state() const {
  absl::MutexLock lock(&mutex_);
  return state_;
}

bool PolicyReloader::Wait() {
  pollfd fds[] = {{wake_fd_, POLLIN, 0}, {watch_.fd(), POLLIN, 0}};
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return false;
      if (std::exchange(requested_, false)) return true;
    }
    poll(fds, 2, -1);  // a negative descriptor is skipped
    uint64_t count;
    [[maybe_unused]] const ssize_t drained = read(wake_fd_, &count, sizeof(count));
    if (watches() && watch_.Changed() && !watch_.being_written() &&
        ReadPolicyText(options_.path).value_or("") != seen_) {
      return true;
    }
  }
}

absl::StatusOr<std::string> PolicyReloader::ReadWhole() {
  while (true) {
    absl::StatusOr<std::string> text = ReadPolicyText(options_.path);
    if (!watches()) return text;
    // Asked after the file was read: a save that began before is known by now.
    const bool changed = watch_.Changed();
    if (watch_.being_written()) {
      return absl::FailedPreconditionError(
          absl::StrCat(options_.path, ": is being written (it is read when its writer closes it)"));
    }
    if (!changed) return text;
  }
}

void PolicyReloader::Reload() {
  std::vector<std::function<void(const ReloadState&)>> waiting;
  {
    absl::MutexLock lock(&mutex_);
    waiting.swap(waiting_);
  }
  const absl::StatusOr<std::string> text = ReadWhole();
  seen_ = text.value_or("");
  const absl::StatusOr<PolicyConfig> config = Parse(text, options_);
  const absl::Status status = config.ok() ? options_.apply(*config) : config.status();
  ReloadState state;
  {
    absl::MutexLock lock(&mutex_);
    state_.last = status;
    if (status.ok()) {
      state_.name = config->name;
      state_.revision = config->revision;
    }
    state = state_;
  }
  if (options_.report) options_.report(state);
  for (const auto& done : waiting) done(state);
}

void PolicyReloader::Run() {
  while (Wait()) Reload();
}

}  // namespace nearfar::daemon
