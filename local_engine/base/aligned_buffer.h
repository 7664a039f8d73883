// A block of raw memory for tensors: aligned for vector loads, freed with its owner.
//
// Large blocks get whole pages and ask for huge ones, because a matrix-vector product over 4 KiB
// pages spends a third of its time in the TLB. Held by
// tests/local_engine/base/aligned_buffer_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_BASE_ALIGNED_BUFFER_H_
#define NEARFAR_LOCAL_ENGINE_BASE_ALIGNED_BUFFER_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"

namespace nearfar {

// Movable, not copyable. One caller at a time; the memory itself has no rules of its own.
class AlignedBuffer {
 public:
  static constexpr size_t kAlignment = 64;  // bytes: one cache line, one 512-bit register
  static constexpr size_t kHugePageBytes = 2u
                                           << 20;  // blocks from this size on are huge-page hinted

  // The content is unspecified. Errors: ResourceExhausted (says how many bytes were asked for).
  static absl::StatusOr<AlignedBuffer> Create(size_t bytes);
  // The same, into *out, which an error leaves as it was.
  static absl::Status CreateInto(size_t bytes, AlignedBuffer* out);

  // Empty: data() is nullptr, size() is 0.
  AlignedBuffer() = default;
  // For small or bounded sizes; throws std::bad_alloc, as a std::vector would.
  explicit AlignedBuffer(size_t bytes);
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;

  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }  // bytes
  bool empty() const { return size_ == 0; }

  // The same memory as an array of size() / sizeof(T) trivially copyable Ts.
  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_);
  }

 private:
  AlignedBuffer(uint8_t* data, size_t bytes) : data_(data), size_(bytes) {}

  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_BASE_ALIGNED_BUFFER_H_
