#include "local_engine/base/start_thread.h"

#include <pthread.h>

#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace nearfar {

absl::StatusOr<std::thread> StartThread(const char* name, std::function<void()> body) {
  try {
    std::thread thread(std::move(body));
    pthread_setname_np(thread.native_handle(), name);
    return thread;
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot start a thread: ", error.code().message(),
                     " (ask for fewer threads, or raise the limit of processes: ulimit -u, or "
                     "pids.max of the control group)"));
  }
}

}  // namespace nearfar
