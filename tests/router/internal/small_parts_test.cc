// Holds the small parts of router/internal/: timer.h, pacing.h, salted_hash.h, taint_file.h,
// taint_table.h, log_writer.h.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "absl/synchronization/notification.h"
#include "router/internal/log_writer.h"
#include "router/internal/pacing.h"
#include "router/internal/salted_hash.h"
#include "router/internal/taint_table.h"
#include "router/internal/timer.h"
#include "tests/testing/temp_dir.h"

namespace nearfar::internal {
namespace {

// --- timer ---------------------------------------------------------------------------------------

TEST(ThreadTimer, RunsInTheOrderOfTimesAndForgetsWhatIsCancelled) {
  auto timer = MakeThreadTimer();
  absl::Notification held, all_there, done;
  std::vector<int> order;  // of the timer's thread, read after `done`
  // The thread is held until everything is scheduled; hours apart, so that no delay of this machine
  // changes the order.
  timer->Schedule(absl::ZeroDuration(), [&] {
    held.Notify();
    all_there.WaitForNotification();
  });
  held.WaitForNotification();
  uint64_t never = timer->Schedule(-absl::Hours(9), [&] { order.push_back(9); });
  timer->Schedule(-absl::Hours(1), [&] { order.push_back(2); });
  timer->Schedule(-absl::Hours(2), [&] { order.push_back(1); });
  timer->Schedule(-absl::Hours(3), [&] { order.push_back(0); });
  timer->Schedule(absl::Milliseconds(1), [&] { done.Notify(); });
  timer->Cancel(never);
  all_there.Notify();
  done.WaitForNotification();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
  timer->Cancel(never);  // without effect
}

TEST(ThreadTimer, EndsWithEntriesPending) {
  auto timer = MakeThreadTimer();
  auto owned = std::make_shared<int>(1);
  std::weak_ptr<int> watch = owned;
  timer->Schedule(absl::Hours(1), [owned = std::move(owned)] {});
  timer.reset();
  EXPECT_TRUE(watch.expired());
}

TEST(ThreadTimer, MayBeLetGoByItsOwnCallback) {
  auto timer = MakeThreadTimer();
  absl::Notification done;
  Timer* raw = timer.get();
  raw->Schedule(absl::ZeroDuration(), [timer = std::move(timer), &done]() mutable {
    timer.reset();
    done.Notify();
  });
  done.WaitForNotification();
}

// --- pacing --------------------------------------------------------------------------------------

PolicyConfig Paced() {
  PolicyConfig config;
  config.budget.limit_usd = 1.0;
  config.budget.window = absl::Hours(10);
  config.budget.pacing = Pacing::kDual;
  config.value.right_answer_usd = 1;
  return config;
}

constexpr absl::Time kStart = absl::UnixEpoch();

TEST(Pacer, WithoutPacingThePriceIsOne) {
  Pacer pacer;
  PolicyConfig config = Paced();
  config.budget.pacing = Pacing::kNone;
  pacer.Configure(config, 0, kStart, kStart);
  pacer.OnBill(0.5, kStart);
  EXPECT_EQ(pacer.Price(kStart), 1);
}

TEST(Pacer, SpendingAheadRaisesThePriceAndTimeLowersIt) {
  Pacer pacer;
  pacer.Configure(Paced(), 0, kStart, kStart);
  EXPECT_EQ(pacer.Price(kStart), 1);
  pacer.OnBill(0.1, kStart);
  EXPECT_DOUBLE_EQ(pacer.Price(kStart), 3);
  EXPECT_DOUBLE_EQ(pacer.Price(kStart + absl::Minutes(30)), 2);
  EXPECT_DOUBLE_EQ(pacer.Price(kStart + absl::Hours(1)), 1);
  EXPECT_DOUBLE_EQ(pacer.Price(kStart + absl::Hours(9)), 1) << "never below";
}

TEST(Pacer, SpendingAtTheRateOfTheBudgetKeepsThePriceLow) {
  Pacer pacer;
  pacer.Configure(Paced(), 0, kStart, kStart);
  for (int i = 0; i < 100; ++i) {
    pacer.OnBill(0.01, kStart + absl::Minutes(6) * i);
    EXPECT_LE(pacer.Price(kStart + absl::Minutes(6) * (i + 1)), 1.0 + 1e-9);
  }
}

TEST(Pacer, ThePriceIsCapped) {
  Pacer pacer;
  pacer.Configure(Paced(), 0, kStart, kStart);
  for (int i = 0; i < 100; ++i) pacer.OnBill(0.5, kStart);
  EXPECT_DOUBLE_EQ(pacer.Price(kStart), 1 + 1 / 0.5);
}

TEST(Pacer, ARestartRemembersWhatWasSpentAhead) {
  Pacer pacer;
  pacer.Configure(Paced(), 0.3, kStart, kStart + absl::Hours(2));
  EXPECT_NEAR(pacer.Price(kStart + absl::Hours(2)), 3, 1e-9);
}

// As a ledger tells after damage: more than any limit.
TEST(Pacer, WhatNobodyKnowsIsGivenBackWithinAWindow) {
  Pacer pacer;
  const PolicyConfig config = Paced();
  pacer.Configure(config, 1e9, kStart, kStart);
  EXPECT_GT(pacer.Price(kStart), 1);
  EXPECT_DOUBLE_EQ(pacer.Price(kStart + config.budget.window), 1);
}

TEST(Pacer, AClockSetBackDoesNotForgive) {
  Pacer pacer;
  pacer.Configure(Paced(), 0, kStart, kStart);
  pacer.OnBill(0.1, kStart + absl::Hours(5));
  EXPECT_DOUBLE_EQ(pacer.Price(kStart), 3);
}

// --- taint ---------------------------------------------------------------------------------------

TEST(TaintTable, KeepsAndClears) {
  TaintTable table;
  EXPECT_FALSE(table.Contains("a"));
  table.Add("a");
  EXPECT_TRUE(table.Contains("a"));
  EXPECT_FALSE(table.Contains("b"));
  EXPECT_TRUE(table.Clear("a").ok());
  EXPECT_FALSE(table.Contains("a"));
  EXPECT_TRUE(table.Clear("never tainted").ok());
  table.Add("a");
  EXPECT_TRUE(table.Contains("a"));
}

TEST(TaintTable, ForgetsNoneWhenItOverflows) {
  TaintTable table("", 10);
  for (int i = 0; i < 5000; ++i) table.Add("tainted-" + std::to_string(i));
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(table.Contains("tainted-" + std::to_string(i))) << i;
  int wrongly = 0;
  for (int i = 0; i < 5000; ++i) wrongly += table.Contains("clean-" + std::to_string(i));
  EXPECT_LT(wrongly, 50);
  EXPECT_TRUE(absl::IsFailedPrecondition(table.Clear("tainted-0")));
  EXPECT_TRUE(table.Contains("tainted-0"));
  EXPECT_TRUE(table.Clear("tainted-4999").ok()) << "still told from the others";
}

TEST(TaintTable, OutlastsItsProcessWithoutANameOnTheDisk) {
  const testing::TempDir folder;
  const std::string path = folder.File("taint.db");
  TaintTable table(path);
  ASSERT_TRUE(table.status().ok()) << table.status();
  table.Add("alice");
  table.Add("bob");
  // As after kill -9: nobody closed the first one.
  TaintTable other(path);
  EXPECT_TRUE(other.Contains("alice"));
  EXPECT_FALSE(other.Contains("carol"));
  EXPECT_EQ(other.FarName("home", "alice"), table.FarName("home", "alice"));
  EXPECT_TRUE(table.Clear("alice").ok());
  TaintTable third(path);
  EXPECT_FALSE(third.Contains("alice"));
  EXPECT_TRUE(third.Contains("bob"));
  std::stringstream bytes;
  for (const char* side : {"", "-wal"}) bytes << std::ifstream(path + side).rdbuf();
  EXPECT_THAT(bytes.str(), ::testing::Not(::testing::HasSubstr("alice")));
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(TaintTable, OverflowingFilesForgetNone) {
  const testing::TempDir folder;
  const std::string path = folder.File("taint.db");
  {
    TaintTable table(path, 4);
    for (int i = 0; i < 20; ++i) table.Add("tainted-" + std::to_string(i));
  }
  TaintTable table(path, 4);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(table.Contains("tainted-" + std::to_string(i))) << i;
}

TEST(TaintTable, ADamagedFileClosesIt) {
  const testing::TempDir folder;
  const std::string path = folder.File("taint.db");
  std::ofstream(path) << std::string(5000, 'x');
  TaintTable table(path);
  EXPECT_TRUE(absl::IsUnavailable(table.status())) << table.status();
  EXPECT_TRUE(table.Contains("anybody"));
  EXPECT_TRUE(absl::IsUnavailable(table.Clear("anybody")));
  table.Add("anybody");
  EXPECT_TRUE(table.Contains("somebody"));
}

TEST(TaintTable, AFullDiskClosesItUntilThereIsRoom) {
  const testing::TempDir folder;
  const std::string path = folder.File("taint.db");
  TaintTable table(path);
  rlimit old;
  getrlimit(RLIMIT_FSIZE, &old);
  auto handler = signal(SIGXFSZ, SIG_IGN);
  rlimit none = {0, old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &none);
  table.Add("alice");
  table.WriteWaiting();
  setrlimit(RLIMIT_FSIZE, &old);
  signal(SIGXFSZ, handler);
  EXPECT_FALSE(table.status().ok());
  EXPECT_TRUE(table.Contains("bob")) << "closed";
  table.WriteWaiting();
  EXPECT_TRUE(table.status().ok()) << table.status();
  EXPECT_FALSE(table.Contains("bob"));
  EXPECT_TRUE(TaintTable(path).Contains("alice"));
}

TEST(SaltedHash, IsHmacSha256) {
  // By Python's hmac module, of purpose, a zero byte and text.
  const std::string hash = SaltedHash("Jefe", "what do ya want", "for nothing?");
  EXPECT_EQ(hash, "adf13648edae17564744ff0aef28b138a329fa4a8104ff63388d270cef395d2b");
  EXPECT_NE(SaltedHash("Jeff", "what do ya want", "for nothing?"), hash);
  EXPECT_NE(SaltedHash("Jefe", "what do ya wan", "for nothing?"), hash);
  ASSERT_TRUE(NewSalt().ok());
  EXPECT_EQ(NewSalt()->size(), 64u);
  EXPECT_NE(*NewSalt(), *NewSalt());
}

// --- log writer ----------------------------------------------------------------------------------

TEST(LogWriter, WritesEverythingBehindTheRequests) {
  auto log = DecisionLog::Open({.path = ":memory:"});
  ASSERT_TRUE(log.ok());
  std::shared_ptr<DecisionLog> shared = *std::move(log);
  LogWriter writer(shared);
  for (int i = 0; i < 200; ++i) {
    DecisionRecord record;
    record.request_id = std::to_string(i);
    record.time = absl::Now();
    writer.Append(std::move(record), false, absl::Hours(1));
  }
  writer.Flush();
  EXPECT_EQ(shared->Read(1000)->size(), 200u);
  EXPECT_EQ(writer.dropped(), 0);
}

}  // namespace
}  // namespace nearfar::internal
