// local_engine/base/sha256.h against the examples of FIPS 180-4's validation suite.

#include "local_engine/base/sha256.h"

#include <gtest/gtest.h>

namespace nearfar {
namespace {

constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Sha256Test, MatchesTheStandard) {
  EXPECT_EQ(Sha256Hex(std::string_view()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex(std::string_view("abc")), kAbc);
  EXPECT_EQ(Sha256Hex(std::string_view("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Sha256Hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256Test, PartsGiveTheDigestOfTheWholeAndTheObjectStartsAfresh) {
  Sha256 digest;
  for (int round = 0; round < 2; ++round) {
    digest.Update(std::string_view("a"));
    const uint8_t rest[] = {'b', 'c'};
    digest.Update(rest);
    EXPECT_EQ(digest.FinishHex(), kAbc) << "round " << round;
  }
}

}  // namespace
}  // namespace nearfar
