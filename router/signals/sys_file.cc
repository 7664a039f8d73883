// See sys_file.h.

#include "router/signals/sys_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"

namespace nearfar::internal {
namespace {

constexpr size_t kMaxBytes = 16 * 1024;
constexpr size_t kMaxNames = 256;

std::string ReadAll(int fd) {
  std::string text(kMaxBytes, '\0');
  size_t have = 0;
  while (have < text.size()) {
    ssize_t n = read(fd, text.data() + have, text.size() - have);
    if (n <= 0) break;
    have += static_cast<size_t>(n);
  }
  text.resize(have);
  return text;
}

}  // namespace

std::optional<std::string> ReadSmallFile(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return std::nullopt;
  struct stat info;
  const bool regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  std::string text = regular ? ReadAll(fd) : std::string();
  close(fd);
  if (!regular) return std::nullopt;
  absl::StripTrailingAsciiWhitespace(&text);
  return text;
}

std::optional<int64_t> ReadNumber(const std::string& path) {
  std::optional<std::string> text = ReadSmallFile(path);
  int64_t number = 0;
  if (!text || !absl::SimpleAtoi(*text, &number)) return std::nullopt;
  return number;
}

std::vector<std::string> ListFolder(const std::string& path) {
  std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
  std::vector<std::string> names;
  if (!folder) return names;
  while (const dirent* entry = readdir(folder.get())) {
    if (entry->d_name[0] != '.') names.push_back(entry->d_name);
    if (names.size() == kMaxNames) break;
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace nearfar::internal
