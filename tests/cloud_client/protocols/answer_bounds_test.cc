// Ceilings leave room for what an honest server does, and stay finite for what another one may do.

#include "cloud_client/protocols/answer_bounds.h"

#include <limits>

#include "gtest/gtest.h"

namespace nearfar {
namespace {

CloudRequest Request(int max_tokens) {
  CloudRequest call;
  call.messages = {{"user", std::string(1000, 'x')}};
  call.max_tokens = max_tokens;
  return call;
}

TEST(AnswerBoundsTest, LeaveRoomForTemplatesAndEndTokens) {
  const AnswerBounds bounds = BoundsOf(Request(100), 0, 0);
  EXPECT_GT(bounds.prompt_tokens, 1000 + 1000);
  EXPECT_GT(bounds.completion_tokens, 100);
  EXPECT_GT(bounds.text_bytes, 100 * 100);
  EXPECT_GT(bounds.events, 100 * 4);
}

TEST(AnswerBoundsTest, AreFiniteWhateverIsAsked) {
  for (int max_tokens : {-1, 0, 1, std::numeric_limits<int>::max()}) {
    const AnswerBounds bounds = BoundsOf(Request(max_tokens), 0, 0);
    EXPECT_GT(bounds.completion_tokens, 0) << max_tokens;
    EXPECT_GT(bounds.events, 0) << max_tokens;
    EXPECT_LE(bounds.text_bytes, 16 << 20) << max_tokens;
  }
}

TEST(AnswerBoundsTest, ABillIsWithinAFactorOfOurOwn) {
  EXPECT_EQ(BoundsOf(Request(100), 0, 0).bill_usd, 1) << "a policy without prices says nothing";
  CloudRequest large = Request(1'000'000);
  const double own = 1'000'000 * 4e-6;
  EXPECT_GT(BoundsOf(large, 1, 4).bill_usd, 2 * own);
  EXPECT_LT(BoundsOf(large, 1, 4).bill_usd, 20 * own);
}

TEST(AnswerBoundsTest, TextHasTokens) {
  EXPECT_EQ(FewestTokens(0, 0), 0);
  EXPECT_EQ(FewestTokens(3, 10), 3);
  EXPECT_EQ(FewestTokens(1, 513), 2);
}

}  // namespace
}  // namespace nearfar
