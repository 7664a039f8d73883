// A folder of its own for one test, gone at its end. In memory where the machine has /dev/shm:
// tests of durability need what the kernel keeps of a killed process, not what a disk keeps of a
// power cut.

#ifndef NEARFAR_TESTS_TESTING_TEMP_DIR_H_
#define NEARFAR_TESTS_TESTING_TEMP_DIR_H_

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace nearfar::testing {

class TempDir {
 public:
  TempDir() {
    const char* base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    std::string pattern = std::string(base) + "/nearfar-test-XXXXXX";
    path_ = mkdtemp(pattern.data()) ? pattern : std::string();
  }
  ~TempDir() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_TESTING_TEMP_DIR_H_
