#include "local_engine/base/doorbell.h"

#include <thread>

#include "gtest/gtest.h"

namespace nearfar {
namespace {

TEST(Doorbell, EndsAWaitWheneverItIsRung) {
  Doorbell bell;
  for (int i = 0; i < 100; ++i) {
    std::thread other([&] { bell.Ring(); });  // before the wait begins, or after
    EXPECT_TRUE(bell.WaitFor(absl::InfiniteDuration()));
    other.join();
  }
}

TEST(Doorbell, RungTwiceEndsOneWait) {
  Doorbell bell;
  bell.Ring();
  bell.Ring();
  EXPECT_TRUE(bell.WaitFor(absl::InfiniteDuration()));
  EXPECT_FALSE(bell.WaitFor(absl::Nanoseconds(1)));
}

TEST(Doorbell, TimeThatIsOverIsNoWait) {
  Doorbell bell;
  EXPECT_FALSE(bell.WaitFor(absl::ZeroDuration()));
  EXPECT_FALSE(bell.WaitFor(-absl::Seconds(1)));
}

}  // namespace
}  // namespace nearfar
