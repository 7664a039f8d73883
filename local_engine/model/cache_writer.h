// Writes the packed cache file of a model on a thread of its own, while the model already answers.
// Held by tests/local_engine/model/cache_writer_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_MODEL_CACHE_WRITER_H_
#define NEARFAR_LOCAL_ENGINE_MODEL_CACHE_WRITER_H_

#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "local_engine/model/model.h"

namespace nearfar {

// Thread-safe.
class CacheWriter {
 public:
  // Starts to write if the model has a cache to write.
  explicit CacheWriter(std::shared_ptr<const Model> model);
  // Waits until it is written: a program that asks one question leaves a cache too.
  ~CacheWriter();
  CacheWriter(const CacheWriter&) = delete;
  CacheWriter& operator=(const CacheWriter&) = delete;

  // See EngineStats::packed_cache.
  std::string state() const;

 private:
  void Write();

  const std::shared_ptr<const Model> model_;
  mutable absl::Mutex mutex_;
  std::string state_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_MODEL_CACHE_WRITER_H_
