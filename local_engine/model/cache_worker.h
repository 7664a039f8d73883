// What is left to do for the packed weights of a model that answers already, on a thread of its
// own: to write the cache file, or to move what is mapped of it to huge pages. Held by
// tests/local_engine/model/cache_worker_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_MODEL_CACHE_WORKER_H_
#define NEARFAR_LOCAL_ENGINE_MODEL_CACHE_WORKER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "local_engine/model/model.h"

namespace nearfar {

// Thread-safe.
class CacheWorker {
 public:
  explicit CacheWorker(std::shared_ptr<const Model> model);
  // Waits until the file is written: a program that asks one question leaves a cache too.
  ~CacheWorker();
  CacheWorker(const CacheWorker&) = delete;
  CacheWorker& operator=(const CacheWorker&) = delete;

  // See EngineStats::packed_cache.
  std::string state() const;
  // See EngineStats::packed_cache_busy.
  bool busy() const { return busy_; }

 private:
  std::function<void()> WorkFor(const Model& model);
  void Write();

  const std::shared_ptr<const Model> model_;
  mutable absl::Mutex mutex_;
  std::string state_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> stop_ = false;  // moving
  std::atomic<bool> busy_ = false;
  std::thread thread_;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_MODEL_CACHE_WORKER_H_
