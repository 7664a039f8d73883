// Holds what router/internal/call_sink.h settles: by the bill, by usage and price, or by the bound.

#include "router/internal/call_sink.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace nearfar::internal {
namespace {

constexpr double kBound = 0.5;

// What a call of 2 USD for a million prompt tokens and 8 for a million others is settled at.
double SettledAt(const BackendFinished& end) {
  double settled = -1;
  Reservation money(nullptr, 0, kBound, [&](double usd) { settled = usd; });
  CallSink sink(nullptr, 1, std::move(money), {2, 8});
  sink.OnFinished(end);
  EXPECT_EQ(sink.CostUsd(), settled);
  return settled;
}

BackendFinished End(const Usage& usage, std::optional<double> cost_usd) {
  BackendFinished end;
  end.usage = usage;
  end.cost_usd = cost_usd;
  return end;
}

TEST(CallSink, UsageTimesPriceWhereThereIsNoBill) {
  EXPECT_DOUBLE_EQ(SettledAt(End({1000, 500, 0}, std::nullopt)), 0.006);
}

TEST(CallSink, ABillRaisesTheCostAndNeverLowersIt) {
  EXPECT_DOUBLE_EQ(SettledAt(End({1000, 500, 0}, 0.25)), 0.25);
  EXPECT_DOUBLE_EQ(SettledAt(End({1000, 500, 0}, 0.001)), 0.006);
  EXPECT_DOUBLE_EQ(SettledAt(End({1000, 500, 0}, 0.0)), 0.006) << "a server without a price";
}

TEST(CallSink, WithoutUsageTheReservationIsSpent) {
  EXPECT_DOUBLE_EQ(SettledAt(End({}, std::nullopt)), kBound);
  EXPECT_DOUBLE_EQ(SettledAt(End({}, 0.0)), kBound);
  EXPECT_DOUBLE_EQ(SettledAt(End({}, 0.25)), kBound);
  EXPECT_DOUBLE_EQ(SettledAt(End({0, 500, 0}, std::nullopt)), kBound) << "a prompt has tokens";
  EXPECT_DOUBLE_EQ(SettledAt(End({}, -1)), kBound);
  EXPECT_DOUBLE_EQ(SettledAt(End({}, std::nan(""))), kBound);
  EXPECT_DOUBLE_EQ(SettledAt(End({}, std::numeric_limits<double>::infinity())), kBound);
}

TEST(CallSink, ABillAboveTheReservationIsOwedInFullWithAndWithoutUsage) {
  EXPECT_DOUBLE_EQ(SettledAt(End({}, 0.9)), 0.9);
  EXPECT_DOUBLE_EQ(SettledAt(End({1000, 500, 0}, 0.9)), 0.9);
}

}  // namespace
}  // namespace nearfar::internal
