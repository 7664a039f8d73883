#include "router/daemon/policy_reloader.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <sstream>
#include <utility>

#include "policies/policy_file.h"

namespace nearfar::daemon {
namespace {

std::string FileBytes(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

}  // namespace

PolicyReloader::PolicyReloader(ReloaderOptions options, const PolicyConfig& current)
    : options_(std::move(options)),
      wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      watch_(options_.path),
      seen_(FileBytes(options_.path)) {
  state_.name = current.name;
  state_.revision = current.revision;
  // Much time may have passed since `current` was read: a model was loaded.
  const absl::StatusOr<PolicyConfig> now = LoadPolicyFile(options_.path, {options_.search_paths});
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
    if (watches() && watch_.Changed()) {
      const std::string bytes = FileBytes(options_.path);
      if (bytes != seen_) return true;
    }
  }
}

void PolicyReloader::Reload() {
  std::vector<std::function<void(const ReloadState&)>> waiting;
  {
    absl::MutexLock lock(&mutex_);
    waiting.swap(waiting_);
  }
  seen_ = FileBytes(options_.path);
  absl::StatusOr<PolicyConfig> config = LoadPolicyFile(options_.path, {options_.search_paths});
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
