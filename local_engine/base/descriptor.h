// A file descriptor that is closed with its owner.

#ifndef NEARFAR_LOCAL_ENGINE_BASE_DESCRIPTOR_H_
#define NEARFAR_LOCAL_ENGINE_BASE_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace nearfar {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}  // -1: none
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_BASE_DESCRIPTOR_H_
