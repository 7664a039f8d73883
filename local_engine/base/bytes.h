// Little-endian reads from bytes that nobody vouches for, and a product that says when it wraps.
// Held by tests/local_engine/base/bytes_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_BASE_BYTES_H_
#define NEARFAR_LOCAL_ENGINE_BASE_BYTES_H_

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "absl/types/span.h"

namespace nearfar {

static_assert(std::endian::native == std::endian::little,
              "model files are little-endian and are used where they are mapped");

// *product = a * b; false (and *product untouched) if that does not fit.
[[nodiscard]] inline bool CheckedMul(uint64_t a, uint64_t b, uint64_t* product) {
  uint64_t result;
  if (__builtin_mul_overflow(a, b, &result)) return false;
  *product = result;
  return true;
}

// The little-endian T at `bytes`, which need not be aligned; the caller knows that it is there.
template <typename T>
T LoadLittleEndian(const void* bytes) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

// A cursor over borrowed bytes. A read that does not fit returns false and moves nothing.
class ByteReader {
 public:
  explicit ByteReader(absl::Span<const uint8_t> bytes) : bytes_(bytes) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }
  const uint8_t* here() const { return bytes_.data() + position_; }

  template <typename T>
  [[nodiscard]] bool Read(T* value) {
    if (remaining() < sizeof(T)) return false;
    *value = LoadLittleEndian<T>(here());
    position_ += sizeof(T);
    return true;
  }

  // Borrows the next `length` bytes.
  [[nodiscard]] bool ReadText(uint64_t length, std::string_view* text) {
    if (remaining() < length) return false;
    *text = std::string_view(reinterpret_cast<const char*>(here()), length);
    position_ += length;
    return true;
  }

  [[nodiscard]] bool Skip(uint64_t length) {
    if (remaining() < length) return false;
    position_ += length;
    return true;
  }

 private:
  absl::Span<const uint8_t> bytes_;
  uint64_t position_ = 0;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_BASE_BYTES_H_
