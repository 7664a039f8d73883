// A child process under test: its output is read as it comes, and nothing here sleeps.

#ifndef NEARFAR_TESTS_TESTING_PROCESS_H_
#define NEARFAR_TESTS_TESTING_PROCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace nearfar::testing {

// One thread at a time.
class Process {
 public:
  // Long enough for a loaded machine under sanitizers; reached only by a test that fails.
  static constexpr absl::Duration kPatience = absl::Seconds(120);

  // Runs argv[0]; `environment` ("NAME=value") is added to ours. Its stdout and stderr are one
  // stream.
  explicit Process(const std::vector<std::string>& argv,
                   const std::vector<std::string>& environment = {});
  ~Process();  // kills it if it still runs
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Waits until a line that was not returned before holds `part`, and returns it; "" if the output
  // ended or patience did.
  std::string WaitForLine(const std::string& part);
  void Signal(int signal) const;
  // Waits for the end: the exit code, or 128 + the signal that ended it.
  int Wait();
  pid_t pid() const { return pid_; }
  // All that it wrote so far (as far as it was read).
  const std::string& output() const { return output_; }

 private:
  // Reads what there is, waiting for it until `until`; false at the end or when time is up.
  bool ReadMore(absl::Time until);

  pid_t pid_ = -1;
  int out_ = -1;
  std::string output_;
  size_t searched_ = 0;  // bytes of output_ in lines that were looked at
  std::optional<int> exit_;
};

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_TESTING_PROCESS_H_
