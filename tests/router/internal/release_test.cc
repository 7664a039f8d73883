// Holds router/internal/release.h: the three modes, whole words, fences and JSON.

#include "router/internal/release.h"

#include <gtest/gtest.h>

namespace nearfar::internal {
namespace {

// Feeds a text token by token and returns all that went out on the way.
std::string Feed(ReleaseBuffer* buffer, const std::vector<std::string>& tokens) {
  std::string out;
  for (const std::string& token : tokens) {
    buffer->Add(token, 1);
    out += buffer->Take();
  }
  return out;
}

TEST(WordCut, StandsAtTheEndOfAWord) {
  EXPECT_EQ(WordCut("one two three", 13), 7u) << "the last word may go on";
  EXPECT_EQ(WordCut("one two ", 8), 7u);
  EXPECT_EQ(WordCut("one  two ", 5), 3u);
  EXPECT_EQ(WordCut("one\ntwo", 7), 3u);
  EXPECT_EQ(WordCut("word", 4), 0u);
  EXPECT_EQ(WordCut("", 0), 0u);
  EXPECT_EQ(WordCut("one two three", 99), 7u);
}

TEST(WordCut, KnowsScriptsWithoutSpaces) {
  const std::string text = "\xE4\xBD\xA0\xE5\xA5\xBD\xE4\xB8\x96";  // three Han characters
  EXPECT_EQ(WordCut(text, text.size()), 6u);
  EXPECT_EQ(WordCut(text, 5), 3u) << "never inside a code point";
  const std::string mixed = "ab\xE4\xBD\xA0";
  EXPECT_EQ(WordCut(mixed, mixed.size()), 2u);
}

TEST(OpenFence, FindsTheFenceThatIsOpen) {
  EXPECT_EQ(OpenFence("text"), std::string::npos);
  EXPECT_EQ(OpenFence("a\n```py\nx = 1\n"), 2u);
  EXPECT_EQ(OpenFence("a\n```py\nx = 1\n```\n"), std::string::npos);
  EXPECT_EQ(OpenFence("a\n```\n1\n```\nb\n  ```\n"), 14u);
  EXPECT_EQ(OpenFence("inline ``` is none"), std::string::npos);
}

TEST(LooksLikeJson, TellsDocumentsFromProse) {
  EXPECT_TRUE(LooksLikeJson(" {\"a\": 1"));
  EXPECT_TRUE(LooksLikeJson("[1"));
  EXPECT_TRUE(LooksLikeJson("```json\n{\"a\""));
  EXPECT_FALSE(LooksLikeJson("The object {a}"));
  EXPECT_FALSE(LooksLikeJson("```py\nprint(1)"));
  EXPECT_FALSE(LooksLikeJson(""));
}

TEST(ReleaseBuffer, JudgedReleasesNothingBeforeAcceptance) {
  ReleaseBuffer buffer(Release::kJudged, Seams::kWords, 0);
  EXPECT_EQ(Feed(&buffer, {"a", " b", " c"}), "");
  buffer.Open();
  EXPECT_EQ(buffer.Take(), "");
  EXPECT_EQ(buffer.TakeAll(), "a b c");
  EXPECT_EQ(buffer.unreleased_tokens(), 0);
}

TEST(ReleaseBuffer, ConfidentStaysHoldBackTokensBehind) {
  ReleaseBuffer buffer(Release::kConfident, Seams::kWords, 2);
  EXPECT_EQ(Feed(&buffer, {"a", " b", " c", " d"}), "");
  buffer.Open();
  EXPECT_EQ(buffer.Take(), "a b");
  EXPECT_EQ(Feed(&buffer, {" e"}), " c");
  EXPECT_EQ(buffer.released_tokens(), 3);
  EXPECT_EQ(buffer.unreleased_tokens(), 2);
  EXPECT_EQ(buffer.TakeAll(), " d e");
}

TEST(ReleaseBuffer, ImmediateFlowsByWholeWordsWhileSomebodyMayTakeOver) {
  ReleaseBuffer buffer(Release::kImmediate, Seams::kWords, 8);
  EXPECT_EQ(Feed(&buffer, {"Hel", "lo", " wor"}), "Hello");
  ReleaseBuffer alone(Release::kImmediate, Seams::kNone, 8);
  EXPECT_EQ(Feed(&alone, {"Hel", "lo", " wor"}), "Hello wor");
}

TEST(ReleaseBuffer, NoSeamInsideACodeFenceForASideThatIsInstructed) {
  ReleaseBuffer buffer(Release::kConfident, Seams::kBlocks, 0);
  buffer.Open();
  EXPECT_EQ(Feed(&buffer, {"See:\n", "```py\n", "x = 1\n", "y = 2\n"}), "See:");
  EXPECT_EQ(Feed(&buffer, {"```\n", "Done now"}), "\n```py\nx = 1\ny = 2\n```\nDone");
  ReleaseBuffer json(Release::kConfident, Seams::kBlocks, 0);
  json.Open();
  EXPECT_EQ(Feed(&json, {"{\"a\": 1, ", "\"b\": 2"}), "");
}

TEST(ReleaseBuffer, CodePointsAreNeverCut) {
  ReleaseBuffer buffer(Release::kImmediate, Seams::kNone, 0);
  EXPECT_EQ(Feed(&buffer, {"\xF0\x9F", "\x98\x80", "!\xE2"}), "\xF0\x9F\x98\x80!");
  buffer.Finish();
  EXPECT_EQ(buffer.TakeAll(), "\xEF\xBF\xBD");
}

TEST(ReleaseBuffer, AfterARetractionEverythingIsThereAgain) {
  ReleaseBuffer buffer(Release::kImmediate, Seams::kNone, 0);
  Feed(&buffer, {"a", "b"});
  buffer.Retracted();
  EXPECT_EQ(buffer.TakeAll(), "ab");
}

}  // namespace
}  // namespace nearfar::internal
