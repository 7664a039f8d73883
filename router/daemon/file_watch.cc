#include "router/daemon/file_watch.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <string_view>

namespace nearfar::daemon {
namespace {

// Never a half-written file: the beginning of a policy may be a policy without its privacy rules. A
// file that is taken away is no change either, since its next writer may already have begun.
constexpr uint32_t kChanges = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE;
// A file that is opened to be written anew is modified at once: it becomes empty.
constexpr uint32_t kWatched = kChanges | IN_MODIFY;

int WatchFolder(const std::filesystem::path& folder) {
  const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) return -1;
  if (inotify_add_watch(fd, folder.c_str(), kWatched | IN_ONLYDIR) >= 0) return fd;
  close(fd);
  return -1;
}

// What appeared at `path` was whole before it got this name. A new file is empty still, and its
// writer's close is told by itself.
bool IsLink(const std::filesystem::path& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return false;
  return S_ISLNK(info.st_mode) || (S_ISREG(info.st_mode) && info.st_nlink > 1);
}

}  // namespace

FileWatch::FileWatch(const std::string& path)
    : path_(std::filesystem::absolute(path)), fd_(WatchFolder(path_.parent_path())) {}

FileWatch::~FileWatch() {
  if (fd_ >= 0) close(fd_);
}

bool FileWatch::Changed() {
  const std::string own = path_.filename().string();
  alignas(inotify_event) char buffer[4096];
  bool changed = false;
  ssize_t size;
  while ((size = read(fd_, buffer, sizeof(buffer))) > 0) {
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      const std::string_view name = event->len > 0 ? event->name : "";
      // An overflow has no name: anything may have changed.
      if (name.empty() || name == own || name == "..data") {
        being_written_ = (event->mask & IN_MODIFY) != 0;
        changed |= !being_written_ &&
                   ((event->mask & IN_CREATE) == 0 || IsLink(path_.parent_path() / name));
      }
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
  return changed;
}

}  // namespace nearfar::daemon
