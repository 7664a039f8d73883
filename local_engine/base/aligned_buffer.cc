// Allocation of tensor memory: the heap for small blocks, anonymous pages for large ones.
// Held by tests/local_engine/base/aligned_buffer_test.cc.

#include "local_engine/base/aligned_buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <limits>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace nearfar {
namespace {

bool IsMapped(size_t bytes) { return bytes >= AlignedBuffer::kHugePageBytes; }

uint8_t* MapPages(size_t bytes) {
  void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return nullptr;
  // A hint: where the kernel has no huge pages the block works all the same.
  madvise(pages, bytes, MADV_HUGEPAGE);
  return static_cast<uint8_t*>(pages);
}

uint8_t* AllocateHeap(size_t bytes) {
  constexpr size_t kMask = AlignedBuffer::kAlignment - 1;
  const size_t rounded = (bytes + kMask) & ~kMask;  // aligned_alloc wants whole alignments
  return static_cast<uint8_t*>(std::aligned_alloc(AlignedBuffer::kAlignment, rounded));
}

// nullptr if there is no such memory.
uint8_t* Allocate(size_t bytes) {
  if (bytes > static_cast<size_t>(std::numeric_limits<ptrdiff_t>::max())) return nullptr;
  return IsMapped(bytes) ? MapPages(bytes) : AllocateHeap(bytes);
}

void Free(uint8_t* data, size_t bytes) {
  if (data == nullptr) return;
  if (IsMapped(bytes)) {
    munmap(data, bytes);
  } else {
    std::free(data);
  }
}

}  // namespace

absl::StatusOr<AlignedBuffer> AlignedBuffer::Create(size_t bytes) {
  if (bytes == 0) return AlignedBuffer();
  uint8_t* data = Allocate(bytes);
  if (data == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot allocate ", bytes, " bytes (free memory, or use a smaller context)"));
  }
  return AlignedBuffer(data, bytes);
}

absl::Status AlignedBuffer::CreateInto(size_t bytes, AlignedBuffer* out) {
  absl::StatusOr<AlignedBuffer> buffer = Create(bytes);
  if (!buffer.ok()) return buffer.status();
  *out = *std::move(buffer);
  return absl::OkStatus();
}

AlignedBuffer::AlignedBuffer(size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  data_ = Allocate(bytes);
  if (data_ == nullptr) throw std::bad_alloc();
}

AlignedBuffer::~AlignedBuffer() { Free(data_, size_); }

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  if (this == &other) return *this;
  Free(data_, size_);
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

}  // namespace nearfar
