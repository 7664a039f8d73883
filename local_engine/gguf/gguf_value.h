// One metadata value of a GGUF file, borrowed from the mapped file.

#ifndef NEARFAR_LOCAL_ENGINE_GGUF_GGUF_VALUE_H_
#define NEARFAR_LOCAL_ENGINE_GGUF_GGUF_VALUE_H_

#include <cstdint>
#include <string_view>

namespace nearfar {

// Numbers as the GGUF specification gives them.
enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};
const char* GgufTypeName(GgufType type);

// Immutable view; the bytes have been checked when the file was parsed.
struct GgufValue {
  GgufType type = GgufType::kUint8;
  GgufType element_type = GgufType::kUint8;  // of an array
  uint64_t count = 1;                        // elements of an array
  const uint8_t* data = nullptr;             // first payload byte (a string: its 8-byte length)
  uint64_t bytes = 0;                        // payload bytes
  uint64_t offset = 0;                       // of `data` in the file, for messages
};

struct GgufEntry {
  std::string_view key;
  GgufValue value;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_GGUF_GGUF_VALUE_H_
