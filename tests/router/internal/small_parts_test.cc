// Holds the small parts of router/internal/: timer.h, pacing.h, salted_hash.h, taint_file.h,
// taint_table.h, log_writer.h.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "router/internal/log_writer.h"
#include "router/internal/pacing.h"
#include "router/internal/salted_hash.h"
#include "router/internal/sqlite.h"
#include "router/internal/taint_file.h"
#include "router/internal/taint_table.h"
#include "router/internal/timer.h"
#include "tests/testing/temp_dir.h"

namespace nearfar::internal {
namespace {

using ::testing::HasSubstr;

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
  TaintTable table({.path = "", .exact_entries = 10});
  for (int i = 0; i < 5000; ++i) table.Add("tainted-" + std::to_string(i));
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(table.Contains("tainted-" + std::to_string(i))) << i;
  int wrongly = 0;
  for (int i = 0; i < 5000; ++i) wrongly += table.Contains("clean-" + std::to_string(i));
  EXPECT_LT(wrongly, 50);
  EXPECT_TRUE(absl::IsFailedPrecondition(table.Clear("tainted-0")));
  EXPECT_TRUE(table.Contains("tainted-0"));
  EXPECT_TRUE(table.Clear("tainted-4999").ok()) << "still told from the others";
}

// The files as kill -9 would leave them now.
std::string CopyOf(const std::string& path, const std::string& copy) {
  for (const char* side : {"", "-wal"}) {
    std::ofstream(copy + side) << std::ifstream(path + side).rdbuf();
  }
  return copy;
}

TEST(TaintTable, OutlastsItsProcessWithoutANameOnTheDisk) {
  const testing::TempDir folder;
  const std::string path = folder.File("taint.db");
  TaintTable table({.path = path});
  ASSERT_TRUE(table.status().ok()) << table.status();
  table.Add("alice");
  table.Add("bob");
  TaintTable other({.path = CopyOf(path, folder.File("other.db"))});
  EXPECT_TRUE(other.Contains("alice"));
  EXPECT_FALSE(other.Contains("carol"));
  EXPECT_EQ(other.FarName("home", "alice"), table.FarName("home", "alice"));
  EXPECT_TRUE(table.Clear("alice").ok());
  TaintTable third({.path = CopyOf(path, folder.File("third.db"))});
  EXPECT_FALSE(third.Contains("alice"));
  EXPECT_TRUE(third.Contains("bob"));
  std::stringstream bytes;
  for (const char* side : {"", "-wal"}) bytes << std::ifstream(path + side).rdbuf();
  EXPECT_THAT(bytes.str(), ::testing::Not(HasSubstr("alice")));
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(TaintTable, OverflowingFilesForgetNone) {
  const testing::TempDir folder;
  const std::string path = folder.File("taint.db");
  {
    TaintTable table({.path = path, .exact_entries = 4});
    for (int i = 0; i < 20; ++i) table.Add("tainted-" + std::to_string(i));
  }
  TaintTable table({.path = path, .exact_entries = 4});
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(table.Contains("tainted-" + std::to_string(i))) << i;
}

TEST(TaintTable, TwoOwnersOfOneFileWouldLackWhatTheOtherAdds) {
  const testing::TempDir folder;
  const std::string path = folder.File("taint.db");
  TaintTable owner({.path = path});
  ASSERT_TRUE(owner.status().ok()) << owner.status();
  TaintTable second({.path = path});
  EXPECT_TRUE(absl::IsUnavailable(second.status())) << second.status();
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another process owns"));
  owner.Add("alice");
  EXPECT_TRUE(second.Contains("alice")) << "closed";
  EXPECT_TRUE(absl::IsUnavailable(second.Clear("alice")));
  owner.LetGo();
  EXPECT_TRUE(owner.Contains("bob")) << "closed";
  TaintTable next({.path = path});
  EXPECT_TRUE(next.status().ok()) << next.status();
  EXPECT_TRUE(next.Contains("alice"));
  EXPECT_FALSE(next.Contains("bob"));
}

TEST(TaintTable, AReaderSeesWhatTheOwnerAddedAndMakesNoFile) {
  const testing::TempDir folder;
  const std::string path = folder.File("a # and ? of 100%41.db");
  const auto files = [&] {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
      names.insert(entry.path().filename().string());
    }
    return names;
  };
  TaintTable none({.path = path, .read_only = true});
  EXPECT_TRUE(none.status().ok()) << none.status();
  EXPECT_FALSE(none.Contains("alice"));
  EXPECT_EQ(files().size(), 0u);
  {
    TaintTable owner({.path = path});
    owner.Add("alice");
    const auto before = files();
    TaintTable beside({.path = path, .read_only = true});
    EXPECT_TRUE(beside.Contains("alice"));
    EXPECT_FALSE(beside.Contains("bob"));
    EXPECT_EQ(beside.FarName("home", "alice"), owner.FarName("home", "alice"));
    EXPECT_EQ(files(), before);
  }
  const auto before = files();
  TaintTable after({.path = path, .read_only = true});
  EXPECT_TRUE(after.status().ok()) << after.status();
  EXPECT_TRUE(after.Contains("alice"));
  EXPECT_TRUE(absl::IsFailedPrecondition(after.Clear("alice")));
  after.Add("bob");
  EXPECT_EQ(files(), before);
  EXPECT_FALSE(TaintTable({.path = path}).Contains("bob")) << "not written";
}

TEST(TaintTable, BeyondItsCapacityNoSessionLeavesAlsoAfterARestart) {
  const testing::TempDir folder;
  const std::string path = folder.File("taint.db");
  const TaintOptions options = {.path = path, .exact_entries = 4, .max_entries = 10};
  {
    TaintTable table(options);
    for (int i = 0; i < 10; ++i) table.Add("tainted-" + std::to_string(i));
    ASSERT_TRUE(table.status().ok()) << table.status();
    EXPECT_FALSE(table.Contains("clean"));
    EXPECT_TRUE(table.Clear("tainted-9").ok());
    table.Add("tainted-10");
    ASSERT_TRUE(table.status().ok()) << "what was cleared makes room: " << table.status();
    for (int i = 0; i < 9; ++i) table.Add("tainted-" + std::to_string(i));
    ASSERT_TRUE(table.status().ok()) << "what comes again is no more: " << table.status();
    for (int i = 11; i < 50; ++i) table.Add("tainted-" + std::to_string(i));
    EXPECT_THAT(std::string(table.status().message()), HasSubstr("more than 10 sessions"));
    EXPECT_TRUE(table.Contains("clean"));
    EXPECT_TRUE(absl::IsUnavailable(table.Clear("tainted-11")));
  }
  int rows = 0;
  EXPECT_TRUE(TaintFile::Look(path)->Read([&](const std::string&) { ++rows; }).ok());
  EXPECT_EQ(rows, 11);
  EXPECT_TRUE(TaintTable(options).Contains("tainted-40")) << "full";
}

TEST(TaintTable, WhoAsksDoesNotWaitForTheDisk) {
  const testing::TempDir folder;
  const std::string path = folder.File("taint.db");
  TaintTable table({.path = path});
  // Another connection that holds SQLite's lock stands for a slow disk.
  auto slow = SqliteDb::Open(path);
  ASSERT_TRUE(slow.ok()) << slow.status();
  ASSERT_TRUE(slow->Exec("BEGIN IMMEDIATE").ok());
  std::thread adds([&] { table.Add("alice"); });
  while (!table.Contains("alice")) std::this_thread::yield();
  EXPECT_FALSE(table.Contains("bob")) << "asked and answered while alice is written";
  ASSERT_TRUE(slow->Exec("COMMIT").ok());
  adds.join();
  EXPECT_TRUE(TaintTable({.path = CopyOf(path, folder.File("copy.db"))}).Contains("alice"));
}

TEST(TaintTable, ManyThreadsFindTheirSessionsOnTheDisk) {
  const testing::TempDir folder;
  const std::string path = folder.File("taint.db");
  TaintTable table({.path = path});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) table.Add(std::to_string((i + t) % 40));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(table.status().ok()) << table.status();
  const TaintTable copy({.path = CopyOf(path, folder.File("copy.db"))});
  for (int i = 0; i < 28; ++i) EXPECT_TRUE(copy.Contains(std::to_string(i))) << i;
  EXPECT_FALSE(copy.Contains("28"));
}

TEST(TaintTable, ADamagedFileClosesIt) {
  const testing::TempDir folder;
  const std::string path = folder.File("taint.db");
  std::ofstream(path) << std::string(5000, 'x');
  TaintTable table({.path = path});
  EXPECT_TRUE(absl::IsUnavailable(table.status())) << table.status();
  EXPECT_TRUE(table.Contains("anybody"));
  EXPECT_TRUE(absl::IsUnavailable(table.Clear("anybody")));
  table.Add("anybody");
  EXPECT_TRUE(table.Contains("somebody"));
}

TEST(TaintTable, AFullDiskClosesItUntilThereIsRoom) {
  const testing::TempDir folder;
  const std::string path = folder.File("taint.db");
  TaintTable table({.path = path});
  rlimit old;
  getrlimit(RLIMIT_FSIZE, &old);
  auto handler = signal(SIGXFSZ, SIG_IGN);
  rlimit none = {0, old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &none);
  table.Add("alice");
  table.Retry();
  setrlimit(RLIMIT_FSIZE, &old);
  signal(SIGXFSZ, handler);
  EXPECT_FALSE(table.status().ok());
  EXPECT_TRUE(table.Contains("bob")) << "closed";
  table.Retry();
  EXPECT_TRUE(table.status().ok()) << table.status();
  EXPECT_FALSE(table.Contains("bob"));
  table.LetGo();
  EXPECT_TRUE(TaintTable({.path = path}).Contains("alice"));
  EXPECT_FALSE(TaintTable({.path = path}).Contains("bob"));
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
