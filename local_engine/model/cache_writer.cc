#include "local_engine/model/cache_writer.h"

#include <sys/resource.h>

#include <utility>

#include "local_engine/base/start_thread.h"

namespace nearfar {

CacheWriter::CacheWriter(std::shared_ptr<const Model> model)
    : model_(std::move(model)), state_(model_->packed_cache) {
  if (model_->cache_to_write == nullptr) return;
  absl::StatusOr<std::thread> thread = StartThread("packed_cache", [this] { Write(); });
  if (thread.ok()) {
    thread_ = *std::move(thread);
  } else {
    absl::MutexLock lock(&mutex_);
    state_ = std::string(thread.status().message());
  }
}

CacheWriter::~CacheWriter() {
  if (thread_.joinable()) thread_.join();
}

std::string CacheWriter::state() const {
  absl::MutexLock lock(&mutex_);
  return state_;
}

void CacheWriter::Write() {
  // The first answer is waited for, the file is not. Of Linux, 0 is this thread alone.
  constexpr int kGivesWay = 10;
  setpriority(PRIO_PROCESS, 0, kGivesWay);
  const absl::Status status = model_->cache_to_write->Write(model_->packed.memory.bytes);
  absl::MutexLock lock(&mutex_);
  state_ = status.ok() ? "written" : std::string(status.message());
}

}  // namespace nearfar
