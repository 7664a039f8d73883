// Holds router/internal/json_writer.h.

#include "router/internal/json_writer.h"

#include <gtest/gtest.h>

#include <limits>

namespace nearfar::internal {
namespace {

TEST(JsonWriter, NestsAndSeparates) {
  JsonWriter json;
  json.BeginObject().Field("a", 1).Key("b").BeginArray().Value(true).Value("x").BeginObject();
  json.EndObject().EndArray().Field("c", std::optional<double>()).Field("d", 0.5).EndObject();
  EXPECT_EQ(json.Take(), R"({"a":1,"b":[true,"x",{}],"d":0.5})");
}

TEST(JsonWriter, EscapesAndReplaces) {
  JsonWriter json;
  json.BeginArray().Value(std::string("q\"b\\n\n\0z", 8)).Value("\xC3(").Value("h\xC3\xA9");
  json.Value(std::numeric_limits<double>::infinity()).EndArray();
  EXPECT_EQ(json.Take(), "[\"q\\\"b\\\\n\\u000a\\u0000z\",\"\xEF\xBF\xBD(\",\"h\xC3\xA9\",null]");
}

}  // namespace
}  // namespace nearfar::internal
