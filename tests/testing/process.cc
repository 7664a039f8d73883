#include "tests/testing/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace nearfar::testing {
namespace {

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Process::Process(const std::vector<std::string>& argv,
                 const std::vector<std::string>& environment) {
  // Everything that allocates is done before the fork: other threads may hold the allocator's lock.
  std::vector<std::string> arguments = argv;
  std::vector<std::string> variables = environment;
  for (char** entry = environ; *entry != nullptr; ++entry) variables.push_back(*entry);
  const std::vector<char*> argument_pointers = Pointers(arguments);
  const std::vector<char*> variable_pointers = Pointers(variables);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    ADD_FAILURE() << "no pipe";
    return;
  }
  pid_ = fork();
  if (pid_ == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    execve(argument_pointers[0], argument_pointers.data(), variable_pointers.data());
    _exit(127);
  }
  close(ends[1]);
  out_ = ends[0];
  EXPECT_GT(pid_, 0);
}

Process::~Process() {
  if (!exit_ && pid_ > 0) {
    Signal(SIGKILL);
    Wait();
  }
  if (out_ >= 0) close(out_);
}

bool Process::ReadMore(absl::Time until) {
  pollfd fd = {out_, POLLIN, 0};
  const int64_t left = absl::ToInt64Milliseconds(until - absl::Now());
  if (left <= 0 || poll(&fd, 1, static_cast<int>(left)) <= 0) return false;
  char buffer[4096];
  const ssize_t size = read(out_, buffer, sizeof(buffer));
  if (size <= 0) return false;
  output_.append(buffer, static_cast<size_t>(size));
  return true;
}

std::string Process::WaitForLine(const std::string& part) {
  const absl::Time until = absl::Now() + kPatience;
  while (true) {
    for (size_t end; (end = output_.find('\n', searched_)) != std::string::npos;) {
      const std::string line = output_.substr(searched_, end - searched_);
      searched_ = end + 1;
      if (line.find(part) != std::string::npos) return line;
    }
    if (!ReadMore(until)) {
      ADD_FAILURE() << "no line with '" << part << "' in:\n" << output_;
      return "";
    }
  }
}

void Process::Signal(int signal) const {
  if (pid_ > 0 && !exit_) kill(pid_, signal);
}

int Process::Wait() {
  if (exit_) return *exit_;
  const absl::Time until = absl::Now() + kPatience;
  while (ReadMore(until)) {
  }
  if (absl::Now() >= until) {
    ADD_FAILURE() << "process " << pid_ << " does not end; its output:\n" << output_;
    kill(pid_, SIGKILL);
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  exit_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return *exit_;
}

}  // namespace nearfar::testing
