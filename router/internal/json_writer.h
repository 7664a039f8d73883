// Writes one JSON document front to back. Small, because the decision log needs no more and the
// router's core has no JSON library. Invalid UTF-8 becomes U+FFFD, a number that is not finite
// null, so what comes out is always valid JSON. Held by tests/router/internal/json_writer_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_JSON_WRITER_H_
#define NEARFAR_ROUTER_INTERNAL_JSON_WRITER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nearfar::internal {

// Calls must nest: Key before each value in an object. One caller at a time.
class JsonWriter {
 public:
  JsonWriter& BeginObject();
  JsonWriter& EndObject();
  JsonWriter& BeginArray();
  JsonWriter& EndArray();
  JsonWriter& Key(std::string_view key);

  JsonWriter& Value(std::string_view text);
  JsonWriter& Value(const char* text) { return Value(std::string_view(text)); }
  JsonWriter& Value(double number);
  JsonWriter& Value(int64_t number);
  JsonWriter& Value(int number) { return Value(static_cast<int64_t>(number)); }
  JsonWriter& Value(bool truth);

  // Key and value in one.
  template <typename T>
  JsonWriter& Field(std::string_view key, const T& value) {
    return Key(key).Value(value);
  }
  // Nothing at all where there is no value.
  template <typename T>
  JsonWriter& Field(std::string_view key, const std::optional<T>& value) {
    if (value) Field(key, *value);
    return *this;
  }

  std::string Take() { return std::move(out_); }

 private:
  void Separate();
  void Quote(std::string_view text);

  std::string out_;
  bool first_ = true;  // no sibling stands before the next element
  bool after_key_ = false;
};

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_JSON_WRITER_H_
