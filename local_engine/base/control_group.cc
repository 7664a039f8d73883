#include "local_engine/base/control_group.h"

#include <algorithm>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace nearfar {
namespace {

constexpr char kGroups[] = "/sys/fs/cgroup";

void Lower(std::optional<int64_t> value, std::optional<int64_t>* least) {
  if (value.has_value()) *least = std::min(*value, least->value_or(*value));
}

// The least of a group and all around it, up to the hierarchy's own folder. In a container the path
// may be the host's, of which nothing is to be seen below the folder: then that folder is the
// container's group.
std::optional<int64_t> LeastOfGroup(const std::string& hierarchy, std::string path,
                                    ControlGroupReader read) {
  std::optional<int64_t> least;
  while (true) {
    Lower(read(hierarchy + path), &least);
    if (path.empty()) return least;
    path.resize(path.find_last_of('/'));
  }
}

// "hierarchy:controllers:path" of /proc/self/cgroup; empty where it has no say in the controller.
std::optional<int64_t> LeastOfLine(const std::string& root, const std::string& controller,
                                   const std::string& line, ControlGroupReader read) {
  const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
  if (fields.size() != 3 || fields[2].empty() || fields[2][0] != '/') return std::nullopt;
  const std::string path = fields[2] == "/" ? "" : fields[2];
  if (fields[1].empty()) return LeastOfGroup(absl::StrCat(root, kGroups), path, read);
  const std::vector<std::string> controllers = absl::StrSplit(fields[1], ',');
  if (std::count(controllers.begin(), controllers.end(), controller) == 0) return std::nullopt;
  return LeastOfGroup(absl::StrCat(root, kGroups, "/", controller), path, read);
}

}  // namespace

std::optional<int64_t> LeastOfControlGroups(const std::string& root, const std::string& controller,
                                            ControlGroupReader read) {
  std::ifstream groups(root + "/proc/self/cgroup");
  std::optional<int64_t> least;
  std::string line;
  while (std::getline(groups, line)) Lower(LeastOfLine(root, controller, line, read), &least);
  return least;
}

std::vector<std::string> FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return absl::StrSplit(line, ' ', absl::SkipEmpty());
}

}  // namespace nearfar
