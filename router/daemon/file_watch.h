// Notices that a file got new content as a whole: was written and closed, renamed to its name, or
// linked (also by a swapped "..data" link, as Kubernetes does). One thread at a time.
// Held by tests/router/daemon/file_watch_test.cc.

#ifndef NEARFAR_ROUTER_DAEMON_FILE_WATCH_H_
#define NEARFAR_ROUTER_DAEMON_FILE_WATCH_H_

#include <filesystem>
#include <string>

namespace nearfar::daemon {

class FileWatch {
 public:
  explicit FileWatch(const std::string& path);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  // Readable when Changed has something to look at; -1 where the system cannot watch the folder.
  int fd() const { return fd_; }
  // True if the file may have changed since the last call. Does not wait.
  bool Changed();
  // True if, when Changed last looked, somebody had begun to write the file and not closed it yet:
  // what it says now is not what its writer means. A change follows.
  bool being_written() const { return being_written_; }

 private:
  const std::filesystem::path path_;
  const int fd_;  // inotify on the file's folder
  bool being_written_ = false;
};

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_FILE_WATCH_H_
