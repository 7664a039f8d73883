// A new thread, or the reason why there is none: std::thread alone throws where the system refuses.
// Held by tests/local_engine/base/thread_pool_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_BASE_START_THREAD_H_
#define NEARFAR_LOCAL_ENGINE_BASE_START_THREAD_H_

#include <functional>
#include <thread>

#include "absl/status/statusor.h"

namespace nearfar {

// `name` is what debuggers and `top -H` show, at most 15 characters. Thread-safe.
// Errors: ResourceExhausted (a limit of processes or of memory is reached).
absl::StatusOr<std::thread> StartThread(const char* name, std::function<void()> body);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_BASE_START_THREAD_H_
