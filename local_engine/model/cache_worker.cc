#include "local_engine/model/cache_worker.h"

#include <sys/resource.h>

#include <utility>

#include "local_engine/base/start_thread.h"

namespace nearfar {

CacheWorker::CacheWorker(std::shared_ptr<const Model> model)
    : model_(std::move(model)), state_(model_->packed_cache) {
  const std::function<void()> work = WorkFor(*model_);
  if (work == nullptr) return;
  busy_ = true;
  absl::StatusOr<std::thread> thread = StartThread("packed_cache", [this, work] {
    // The first answer is waited for, this is not. Of Linux, 0 is this thread alone.
    constexpr int kGivesWay = 10;
    setpriority(PRIO_PROCESS, 0, kGivesWay);
    work();
    busy_ = false;
  });
  if (thread.ok()) {
    thread_ = *std::move(thread);
    return;
  }
  busy_ = false;
  if (model_->cache_to_write == nullptr) return;
  absl::MutexLock lock(&mutex_);
  state_ = std::string(thread.status().message());
}

CacheWorker::~CacheWorker() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

// nullptr: nothing.
std::function<void()> CacheWorker::WorkFor(const Model& model) {
  if (model.cache_to_write != nullptr) return [this] { Write(); };
  const PackedMemory& memory = model.packed.memory;
  if (memory.file == nullptr || !MappedFile::HugePagesCanBeHad()) return nullptr;
  return [this, &memory] { PackedCache::MoveToHugePages(memory, stop_); };
}

std::string CacheWorker::state() const {
  absl::MutexLock lock(&mutex_);
  return state_;
}

void CacheWorker::Write() {
  const absl::Status status = model_->cache_to_write->Write(model_->packed.memory.bytes);
  absl::MutexLock lock(&mutex_);
  state_ = status.ok() ? "written" : std::string(status.message());
}

}  // namespace nearfar
