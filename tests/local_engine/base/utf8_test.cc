// Holds local_engine/base/utf8.h: every code point, and every kind of ill-formed byte.

#include "local_engine/base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace nearfar {
namespace {

std::string Encode(uint32_t c) {
  std::string out;
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | c >> 6);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | c >> 12);
  } else {
    out += static_cast<char>(0xf0 | c >> 18);
  }
  if (c >= 0x10000) out += static_cast<char>(0x80 | (c >> 12 & 0x3f));
  if (c >= 0x800) out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
  if (c >= 0x80) out += static_cast<char>(0x80 | (c & 0x3f));
  return out;
}

TEST(Utf8Test, ReadsEveryCodePointAndRefusesSurrogates) {
  for (uint32_t c = 0; c < 0x110000; ++c) {
    const std::string bytes = Encode(c);
    const Utf8Step step = DecodeUtf8(bytes + "z");
    if (c >= 0xd800 && c < 0xe000) {
      ASSERT_EQ(step.kind, Utf8Kind::kInvalid) << c;
      ASSERT_EQ(step.length, 1u) << c;
      continue;
    }
    ASSERT_EQ(step.kind, Utf8Kind::kValid) << c;
    ASSERT_EQ(step.code_point, c);
    ASSERT_EQ(step.length, bytes.size()) << c;
    for (size_t n = 1; n < bytes.size(); ++n) {
      const Utf8Step cut = DecodeUtf8(std::string_view(bytes).substr(0, n));
      ASSERT_EQ(cut.kind, Utf8Kind::kIncomplete) << c;
      ASSERT_EQ(cut.length, n) << c;
    }
  }
}

TEST(Utf8Test, RefusesIllFormedBytes) {
  const struct {
    const char* bytes;
    size_t length;
  } kCases[] = {
      {"\x80z", 1},             // a continuation byte alone
      {"\xbfz", 1},             //
      {"\xc0\x80", 1},          // overlong, two bytes
      {"\xc1\xbf", 1},          //
      {"\xe0\x9f\xbf", 1},      // overlong, three bytes
      {"\xf0\x8f\xbf\xbf", 1},  // overlong, four bytes
      {"\xf4\x90\x80\x80", 1},  // above U+10FFFF
      {"\xf5\x80\x80\x80", 1},  //
      {"\xffz", 1},             //
      {"\xc3z", 1},             // cut short
      {"\xe4\xbdz", 2},         //
      {"\xf0\x9f\x98z", 3},     //
  };
  for (const auto& c : kCases) {
    const Utf8Step step = DecodeUtf8(c.bytes);
    EXPECT_EQ(step.kind, Utf8Kind::kInvalid) << testing::PrintToString(c.bytes);
    EXPECT_EQ(step.length, c.length) << testing::PrintToString(c.bytes);
    EXPECT_FALSE(IsValidUtf8(c.bytes));
  }
  EXPECT_TRUE(IsValidUtf8(""));
  EXPECT_TRUE(IsValidUtf8("a\xc3\xa9\xe4\xbd\xa0\xf0\x9f\x98\x80"));
  EXPECT_FALSE(IsValidUtf8("a\xc3"));
}

}  // namespace
}  // namespace nearfar
