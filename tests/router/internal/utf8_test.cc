// Holds router/internal/utf8.h.

#include "router/internal/utf8.h"

#include <gtest/gtest.h>

namespace nearfar::internal {
namespace {

TEST(Utf8, ValidTextStays) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";
  EXPECT_EQ(ToValidUtf8(text), text);
}

TEST(Utf8, EveryCutJoinsToTheSameText) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    Utf8Joiner joiner;
    std::string joined = joiner.Add(text.substr(0, cut));
    EXPECT_EQ(ToValidUtf8(joined), joined);
    joined += joiner.Add(text.substr(cut));
    joined += joiner.Finish();
    EXPECT_EQ(joined, text) << cut;
  }
}

TEST(Utf8, InvalidBytesAreReplaced) {
  EXPECT_EQ(ToValidUtf8("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD");           // overlong
  EXPECT_EQ(ToValidUtf8("\xED\xA0\x80x").substr(0, 3), "\xEF\xBF\xBD");     // surrogate
  EXPECT_EQ(ToValidUtf8("\xF4\x90\x80\x80").substr(0, 3), "\xEF\xBF\xBD");  // beyond U+10FFFF
  EXPECT_EQ(ToValidUtf8("\xE2\x82"), "\xEF\xBF\xBD");                       // cut off
  EXPECT_EQ(ToValidUtf8("\xE2(\x82"), "\xEF\xBF\xBD(\xEF\xBF\xBD");
}

}  // namespace
}  // namespace nearfar::internal
