#include "router/cli/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_split.h"

namespace nearfar::cli {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Lines(const std::string& text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

TEST(DisplayWidth, CountsColumnsNotBytes) {
  EXPECT_EQ(DisplayWidth(""), 0);
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("né"), 2);
  EXPECT_EQ(DisplayWidth("e\xCC\x81"), 1);  // combining acute
  EXPECT_EQ(DisplayWidth("日本"), 4);
  EXPECT_EQ(DisplayWidth("😀"), 2);
  EXPECT_EQ(DisplayWidth("\xFF\xFE"), 2);  // shown as two U+FFFD
  EXPECT_EQ(DisplayWidth("\xE6\x97"), 1);  // cut in the middle
}

TEST(Fit, LeavesWhatFits) { EXPECT_EQ(Fit("hello", 5), "hello"); }

TEST(Fit, CutsAtACharacterAndSaysSo) {
  EXPECT_EQ(Fit("hello world", 6), "hello…");
  EXPECT_EQ(DisplayWidth(Fit("日本語日本語", 6)), 5);  // a wide one more would be too wide
}

TEST(Fit, MakesOneLine) { EXPECT_EQ(Fit("  a\n\n b\tc \r\n", 40), "a b c"); }

TEST(Table, AlignsAndUnderlines) {
  Table table({{"name"}, {"n", Table::Align::kRight}});
  table.Add({"a", "1"});
  table.Add({"long name", "10"});
  EXPECT_THAT(Lines(table.Format(80)), ElementsAre("name        n",  //
                                                   "---------  --",  //
                                                   "a           1",  //
                                                   "long name  10"));
}

TEST(Table, TheRestTakesWhatIsLeftAndNoLineIsTooWide) {
  Table table({{"question", Table::Align::kLeft, 20, true}, {"s", Table::Align::kRight}, {"why"}});
  table.Add({std::string(300, 'q'), "1.25", "net_value"});
  for (const std::string& line : Lines(table.Format(60))) EXPECT_LE(DisplayWidth(line), 60) << line;
  EXPECT_NE(table.Format(60).find("…"), std::string::npos);
}

TEST(Table, GapsAndThenTextGiveWayWhereItIsNarrowButNumbersNever) {
  Table table({{"answered by"}, {"reason"}, {"seconds", Table::Align::kRight}});
  table.Add({"home-server", "draft_accepted", "1234567.25"});
  EXPECT_THAT(Lines(table.Format(37)), ElementsAre("answered by reason            seconds",  //
                                                   "----------- -------------- ----------",  //
                                                   "home-server draft_accepted 1234567.25"));
  EXPECT_THAT(Lines(table.Format(32)), ElementsAre("answered … reason        seconds",  //
                                                   "---------- ---------- ----------",  //
                                                   "home-serv… draft_acc… 1234567.25"));
  for (const std::string& line : Lines(table.Format(28))) EXPECT_EQ(DisplayWidth(line), 28) << line;
  EXPECT_NE(table.Format(1).find("1234567.25"), std::string::npos);
}

TEST(Table, MissingCellsAreEmpty) {
  Table table({{"a"}, {"b"}});
  table.Add({"x"});
  EXPECT_THAT(Lines(table.Format(80)), ElementsAre("a  b", "-  -", "x"));
}

}  // namespace
}  // namespace nearfar::cli
