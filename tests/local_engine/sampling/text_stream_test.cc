// Holds local_engine/sampling/text_stream.h: stop strings across token boundaries, whole code
// points, and that the way of cutting bytes into tokens never changes the text.

#include "local_engine/sampling/text_stream.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "local_engine/base/utf8.h"
#include "local_engine/sampling_options.h"

namespace nearfar {
namespace {

TEST(CheckStopsTest, NumberAndLengthAreBounded) {
  std::vector<std::string> stop(kMostStops, std::string(kMostStopBytes, 'x'));
  EXPECT_TRUE(CheckStops({}).ok());
  EXPECT_TRUE(CheckStops(stop).ok());
  stop[1] += 'x';
  EXPECT_EQ(CheckStops(stop).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(CheckStops(stop).message().find("stop[1]: has 1025 bytes"), std::string::npos);
  stop.assign(kMostStops + 1, "x");
  EXPECT_NE(CheckStops(stop).message().find("stop: 17 strings"), std::string::npos);
}

TEST(TextStreamTest, ReleasesPlainTextAtOnce) {
  TextStream stream({});
  EXPECT_EQ(stream.Push("Hello"), "Hello");
  EXPECT_EQ(stream.Push(", world"), ", world");
  EXPECT_EQ(stream.Flush(), "");
  EXPECT_FALSE(stream.stopped());
}

TEST(TextStreamTest, HoldsACodePointUntilItIsWhole) {
  TextStream stream({});
  EXPECT_EQ(stream.Push("a\xf0\x9f"), "a");
  EXPECT_EQ(stream.Push("\x98"), "");
  EXPECT_EQ(stream.Push("\x80!"), "\xf0\x9f\x98\x80!");
}

TEST(TextStreamTest, IncompleteCodePointAtTheEndBecomesAReplacement) {
  TextStream stream({});
  EXPECT_EQ(stream.Push("a\xe4\xbd"), "a");
  EXPECT_EQ(stream.Flush(), "\xef\xbf\xbd");
}

TEST(TextStreamTest, IllFormedBytesBecomeOneReplacementEachSubpart) {
  TextStream stream({});
  // A lone continuation byte, an overlong form, a surrogate, and a lead cut short by a letter.
  EXPECT_EQ(stream.Push("\x80|\xc0\xaf|\xed\xa0\x80|\xe4\xbdx"),
            "\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|"
            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbdx");
}

TEST(TextStreamTest, StopsInsideOneToken) {
  const std::vector<std::string> stop = {"STOP"};
  TextStream stream(stop);
  EXPECT_EQ(stream.Push("beforeSTOPafter"), "before");
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(stream.matched(), 0);
  EXPECT_EQ(stream.Push("more"), "");
  EXPECT_EQ(stream.Flush(), "");
}

TEST(TextStreamTest, StopsAcrossTokens) {
  const std::vector<std::string> stop = {"\nUser:", "###"};
  TextStream stream(stop);
  EXPECT_EQ(stream.Push("one\nUs"), "one");
  EXPECT_EQ(stream.Push("e"), "");
  EXPECT_FALSE(stream.stopped());
  EXPECT_EQ(stream.Push("r: two"), "");
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(stream.matched(), 0);
}

TEST(TextStreamTest, ReleasesWhatTurnedOutToBeNoStop) {
  const std::vector<std::string> stop = {"\nUser:"};
  TextStream stream(stop);
  EXPECT_EQ(stream.Push("one\nUse"), "one");
  EXPECT_EQ(stream.Push("ful"), "\nUseful");
}

TEST(TextStreamTest, KeepsTheLongestPossibleBeginning) {
  const std::vector<std::string> stop = {"aab"};
  TextStream stream(stop);
  EXPECT_EQ(stream.Push("aaa"), "a");  // "aa" may still become "aab"
  EXPECT_EQ(stream.Push("b"), "");
  EXPECT_TRUE(stream.stopped());
}

TEST(TextStreamTest, AStopInsideThePrefixOfALongerOneIsFound) {
  const std::vector<std::string> stop = {"abcd", "bc"};
  TextStream stream(stop);
  EXPECT_EQ(stream.Push("xab"), "x");
  EXPECT_EQ(stream.Push("c"), "a");
  EXPECT_EQ(stream.matched(), 1);
}

TEST(TextStreamTest, FlushGivesBackAHeldPrefix) {
  const std::vector<std::string> stop = {"END"};
  TextStream stream(stop);
  EXPECT_EQ(stream.Push("the EN"), "the ");
  EXPECT_EQ(stream.Flush(), "EN");
  EXPECT_FALSE(stream.stopped());
}

TEST(TextStreamTest, AStopOfSeveralBytesMayBeCutInsideACodePoint) {
  const std::vector<std::string> stop = {"\xe3\x80\x82"};
  TextStream stream(stop);
  EXPECT_EQ(stream.Push("ok\xe3\x80"), "ok");
  EXPECT_EQ(stream.Push("\x82"), "");
  EXPECT_TRUE(stream.stopped());
}

TEST(TextStreamTest, IgnoresStopsThatCannotOccur) {
  const std::vector<std::string> stop = {"", "\x80", "\xe3\x80"};
  TextStream stream(stop);
  EXPECT_EQ(stream.Push("\xe3\x80\x80 text"), "\xe3\x80\x80 text");
  EXPECT_FALSE(stream.stopped());
}

// The plain definition: the first end of any stop string, and the longest that ends there.
std::string Reference(const std::string& text, const std::vector<std::string>& stop) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& s : stop) {
      const bool ends_here = s.size() <= end && text.compare(end - s.size(), s.size(), s) == 0;
      if (ends_here && s.size() > longest) longest = s.size();
    }
    if (longest > 0) return text.substr(0, end - longest);
  }
  return text;
}

TEST(TextStreamTest, AnyCutGivesTheSameText) {
  std::mt19937 random(7);
  const std::vector<std::string> alphabet = {"a", "b", "c", "\xc3\xa9", "\xf0\x9f\x98\x80"};
  const auto draw = [&](size_t n) { return random() % n; };
  const auto text_of = [&](size_t n) {
    std::string text;
    for (size_t i = 0; i < n; ++i) text += alphabet[draw(alphabet.size())];
    return text;
  };
  int stopped = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stop;
    for (size_t i = draw(4); i > 0; --i) stop.push_back(text_of(1 + draw(4)));
    const std::string text = text_of(draw(40));
    TextStream stream(stop);
    std::string released;
    for (size_t at = 0; at < text.size();) {
      const size_t n = 1 + draw(5);
      const std::string part = stream.Push(std::string_view(text).substr(at, n));
      EXPECT_TRUE(IsValidUtf8(part));
      released += part;
      at += n;
    }
    released += stream.Flush();
    stopped += stream.stopped() ? 1 : 0;
    ASSERT_EQ(released, Reference(text, stop)) << "text: " << text;
  }
  EXPECT_GT(stopped, 500);
  EXPECT_LT(stopped, 2900);
}

}  // namespace
}  // namespace nearfar
