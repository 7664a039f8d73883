// Writes JSON, for --json. Values only; the caller keeps keys and values in step.
// One caller at a time. Held by tests/router/cli/json_out_test.cc.

#ifndef NEARFAR_ROUTER_CLI_JSON_OUT_H_
#define NEARFAR_ROUTER_CLI_JSON_OUT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nearfar::cli {

// A JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD.
std::string JsonQuoted(std::string_view text);

//   JsonOut json;
//   json.Object([&] { json.Field("name", "x"); json.Key("list").Array([&] { json.Int(1); }); });
class JsonOut {
 public:
  template <typename Body>
  JsonOut& Object(Body body) {
    return Nested('{', '}', body);
  }
  template <typename Body>
  JsonOut& Array(Body body) {
    return Nested('[', ']', body);
  }

  JsonOut& Key(std::string_view key);
  JsonOut& String(std::string_view value);
  JsonOut& Int(int64_t value);
  JsonOut& Number(double value);  // NaN and infinities, which JSON lacks, become null
  JsonOut& Bool(bool value);
  JsonOut& Null();
  JsonOut& Raw(std::string_view json);  // a whole value that is JSON already

  JsonOut& Field(std::string_view key, std::string_view value) { return Key(key).String(value); }
  JsonOut& Field(std::string_view key, const char* value) { return Key(key).String(value); }
  JsonOut& Field(std::string_view key, int64_t value) { return Key(key).Int(value); }
  JsonOut& Field(std::string_view key, int value) { return Key(key).Int(value); }
  JsonOut& Field(std::string_view key, double value) { return Key(key).Number(value); }
  JsonOut& Field(std::string_view key, bool value) { return Key(key).Bool(value); }
  JsonOut& Field(std::string_view key, const std::optional<double>& value) {
    return value.has_value() ? Key(key).Number(*value) : Key(key).Null();
  }

  const std::string& text() const { return text_; }

 private:
  template <typename Body>
  JsonOut& Nested(char open, char close, Body body) {
    Separate();
    text_.push_back(open);
    fresh_ = true;
    body();
    text_.push_back(close);
    fresh_ = false;
    return *this;
  }
  void Separate();

  std::string text_;
  bool fresh_ = true;  // nothing stands before the next value of this object or array
};

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_JSON_OUT_H_
