// The near side: an engine behind the router's Backend.
// Sessions are kept by session_key in a small LRU cache for their KV prefix; a request without a
// key gets one of its own, freed at its end. A cancelled request's session is freed with its KV
// cache. Thread-safe. Held by tests/router/local_backend_test.cc.

#ifndef NEARFAR_ROUTER_LOCAL_BACKEND_H_
#define NEARFAR_ROUTER_LOCAL_BACKEND_H_

#include <memory>
#include <string>

#include "local_engine/engine.h"
#include "router/backend.h"

namespace nearfar {

struct LocalBackendOptions {
  std::string name = "near";
  std::string model;      // what Describe calls it; empty = the file's name without ".gguf"
  int kept_sessions = 2;  // idle sessions kept for their KV prefix; < EngineOptions::max_sessions
};

std::shared_ptr<Backend> MakeLocalBackend(std::shared_ptr<Engine> engine,
                                          LocalBackendOptions options = {});

// The binding that calibrations are checked against.
ModelBinding BindingOf(const ModelInfo& info);

}  // namespace nearfar

#endif  // NEARFAR_ROUTER_LOCAL_BACKEND_H_
