// What the bridge itself refuses; the messages of whole policy files are in bad/
// (policy_file_test).
#include "policies/yaml_bridge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "nearfar/v1/calibration.pb.h"
#include "nearfar/v1/policy.pb.h"

namespace nearfar {
namespace {

using testing::HasSubstr;

// The errors of a policy text, one a line.
std::string Errors(const std::string& text) {
  v1::PolicyFile file;
  return ReadYaml(text, &file).Format("f");
}

TEST(ReadYaml, FillsEveryTypeAndRemembersPlaces) {
  v1::PolicyFile file;
  const YamlReading reading = ReadYaml(
      "schema_version: +1\nname: \"7\"\nlog: {prompt_text: True}\n"
      "rules:\n  - name: r\n    when: {any: [{keyword: [no, yes]}, {signal: turns, above: "
      "-1e-1}]}\n",
      &file);
  EXPECT_EQ(reading.Format("f"), "");
  EXPECT_EQ(file.schema_version(), 1);
  EXPECT_EQ(file.name(), "7");
  EXPECT_TRUE(file.log().prompt_text());
  ASSERT_EQ(file.rules_size(), 1);
  EXPECT_EQ(file.rules(0).when().any(0).keyword(0), "no");  // text, as in YAML 1.2
  EXPECT_EQ(file.rules(0).when().any(1).above(), -0.1);
  EXPECT_EQ(reading.PositionOf("rules[0].name"), (Position{5, 5}));
  EXPECT_EQ(reading.PositionOf("rules[0].when.any[1]"), (Position{6, 40}));
  EXPECT_EQ(reading.PositionOf("rules[0].then.route"), (Position{5, 5}));  // its nearest parent
}

TEST(ReadYaml, JsonIsYaml) {
  v1::PolicyFile file;
  EXPECT_EQ(ReadYaml(R"({"schema_version": 1, "name": "caf\u00e9", "value": {"second_usd": 1E-3}})",
                     &file)
                .Format("f"),
            "");
  EXPECT_EQ(file.name(), "café");
  EXPECT_EQ(file.value().second_usd(), 0.001);
}

TEST(ReadYaml, NumbersOfLists) {
  v1::CalibrationFile file;
  const YamlReading reading = ReadYaml(
      "draft: {weight: [1, .nan, x, 2], bucket: [-1, 4294967295, 4294967296], bucket_weight: "
      "[1e-3]}",
      &file);
  EXPECT_EQ(reading.errors().size(), 4u) << reading.Format("f");
  EXPECT_EQ(file.draft().weight_size(), 4);  // places are kept
  EXPECT_EQ(file.draft().bucket(1), 4294967295u);
  EXPECT_FLOAT_EQ(file.draft().bucket_weight(0), 0.001f);
}

TEST(ReadYaml, RefusesHostileTexts) {
  EXPECT_THAT(Errors("!2"), HasSubstr("f:1:1"));
  EXPECT_THAT(Errors(""), HasSubstr("is empty"));
  EXPECT_THAT(Errors("---\n"), HasSubstr("is empty"));
  EXPECT_THAT(Errors("null"), HasSubstr("is empty"));
  EXPECT_THAT(Errors("a: *nowhere\n"), HasSubstr("not valid YAML"));
  EXPECT_THAT(Errors(std::string("a: 1\0b", 6)), HasSubstr("f:1:5"));
  EXPECT_THAT(Errors("\xEF\xBB\xBFname: x"), testing::Eq(""));  // a byte order mark is harmless
  EXPECT_THAT(Errors(std::string(100000, '[')), HasSubstr("deeper"));
  EXPECT_THAT(Errors(std::string((1 << 20) + 1, ' ')), HasSubstr("larger than 1048576 bytes"));
  EXPECT_THAT(Errors("name: " + std::string(300000, 'x') + ": y"), HasSubstr("f:1:"));
  // The billion laughs: refused at the first anchor, and never expanded.
  std::string bomb = "a0: &a0 x\n";
  for (int i = 1; i < 20; ++i) {
    const std::string n = std::to_string(i), p = "*a" + std::to_string(i - 1);
    bomb += "a" + n + ": &a" + n + " [" + p + "," + p + "," + p + "," + p + "]\n";
  }
  EXPECT_THAT(Errors(bomb), HasSubstr("anchors"));
}

TEST(ReadYaml, ShortensWhatItQuotes) {
  const std::string message = Errors("value: {second_usd: " + std::string(500, 'z') + "}");
  EXPECT_LT(message.size(), 200u);
  EXPECT_THAT(message, HasSubstr("zzz...'"));
}

TEST(YamlReading, StopsListingAtSomePoint) {
  std::string text = "far: [";
  for (int i = 0; i < 20000; ++i) text += "1,";
  v1::PolicyFile file;
  const YamlReading reading = ReadYaml(text + "]", &file);
  EXPECT_EQ(reading.errors().size(), 1001u);
  EXPECT_THAT(reading.Format("f"), HasSubstr("there are more mistakes"));
}

TEST(YamlReading, KnowsWhatWasBlamed) {
  YamlReading reading;
  reading.AddError("far[0].price", "x");
  EXPECT_TRUE(reading.HasErrorAt("far[0]"));
  EXPECT_TRUE(reading.HasErrorAt("far[0].price"));
  EXPECT_FALSE(reading.HasErrorAt("far[0].pri"));
  EXPECT_FALSE(reading.HasErrorAt("far[0].price.input_usd_per_mtok"));
  EXPECT_TRUE(reading.HasErrorOn("far[0].price.input_usd_per_mtok"));
  EXPECT_FALSE(reading.HasErrorOn("far[0].name"));
  EXPECT_FALSE(reading.HasErrorOn(""));
  reading.AddError("", "x");  // the document blames no field
  EXPECT_TRUE(reading.HasErrorOn(""));
  EXPECT_FALSE(reading.HasErrorOn("far[0].name"));
  EXPECT_FALSE(reading.HasErrorAt("far[0].price[0]"));
}

TEST(YamlReading, IsFullWhereNoFurtherErrorIsKept) {
  YamlReading reading;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(reading.is_full());
    reading.AddError("far[" + std::to_string(i) + "]", "x");
  }
  reading.AddError("far[1000]", "x");
  EXPECT_TRUE(reading.is_full());
  EXPECT_TRUE(reading.HasErrorAt("far[999]"));
  EXPECT_FALSE(reading.HasErrorAt("far[1000]"));
}

// A text is a text, whatever it says; an alias's error is told once.
TEST(ReadYaml, NoTextStandsForAnErrorThatWasTold) {
  EXPECT_THAT(Errors("rules: \"\\x01refused\"\n"), HasSubstr("rules: must be a list"));
  EXPECT_THAT(Errors("log: {prompt_text: \"\\x01refused\"}\n"), HasSubstr("must be true or false"));
  EXPECT_EQ(Errors("name: \"\\x01refused\"\n"), "");
  EXPECT_THAT(Errors("near: &a {model: m}\nrules: *a\n"), testing::Not(HasSubstr("rules")));
}

}  // namespace
}  // namespace nearfar
