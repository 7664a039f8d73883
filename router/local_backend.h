// The near side: an engine behind the router's Backend.
// Sessions are kept by session_key in a small LRU cache for their KV prefix; a request without a
// key gets one of its own, freed at its end. A cancelled request's session is freed with its KV
// cache. A call that finds no free session waits, and is refused if its deadline passes meanwhile.
// After some generations in a row whose results were broken the near side is unreachable for a
// while, then tried again; memory that ran out is no such failure. Thread-safe. Held by
// tests/router/local_backend_test.cc.

#ifndef NEARFAR_ROUTER_LOCAL_BACKEND_H_
#define NEARFAR_ROUTER_LOCAL_BACKEND_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "local_engine/engine.h"
#include "router/backend.h"

namespace nearfar {

struct LocalBackendOptions {
  std::string name = "near";
  std::string model;      // what Describe calls it; empty = the file's name without ".gguf"
  int kept_sessions = 2;  // idle sessions kept for their KV prefix until a call needs their place
  int max_waiting = 256;  // calls that wait for a session; one more is refused as unavailable
  std::function<absl::Time()> now = absl::Now;  // for deadlines; must not block
  // Measures how long the engine is left alone; must not block. Empty = the steady clock.
  std::function<absl::Time()> steady = nullptr;
};

std::shared_ptr<Backend> MakeLocalBackend(std::shared_ptr<Engine> engine,
                                          LocalBackendOptions options = {});

// Whether a text has more bytes than the engine's context could say if each of its tokens were the
// vocabulary's longest, so that it is not worth tokenizing.
bool CannotFit(int64_t bytes, const ModelInfo& info);

// The binding that calibrations are checked against.
ModelBinding BindingOf(const ModelInfo& info);

}  // namespace nearfar

#endif  // NEARFAR_ROUTER_LOCAL_BACKEND_H_
