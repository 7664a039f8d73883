// Holds router/ledger.h: the wall, leases, windows, restart, damage, and a disk that refuses.

#include "router/ledger.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include "tests/testing/fake_clock.h"
#include "tests/testing/temp_dir.h"

namespace nearfar {
namespace {

using testing::FakeClock;
using testing::TempDir;

class LedgerTest : public ::testing::Test {
 protected:
  LedgerOptions Options(std::optional<double> limit, double lease = 0) {
    LedgerOptions options;
    options.path = dir_.File("ledger.db");
    options.limit_usd = limit;
    options.lease_usd = lease;
    options.window = absl::Hours(24);
    options.clock = clock_.function();
    return options;
  }
  std::unique_ptr<Ledger> MustOpen(const LedgerOptions& options) {
    auto ledger = Ledger::Open(options);
    EXPECT_TRUE(ledger.ok()) << ledger.status();
    return ledger.ok() ? *std::move(ledger) : nullptr;
  }
  // What a process that dies now leaves: the files as the kernel has them.
  LedgerOptions Crashed(const LedgerOptions& options) {
    LedgerOptions after = options;
    after.path = dir_.File("crashed" + std::to_string(crashes_++) + ".db");
    for (const char* side : {"", "-wal"}) {
      std::error_code absent;
      std::filesystem::copy_file(options.path + side, after.path + side, absent);
    }
    return after;
  }

  TempDir dir_;
  FakeClock clock_;
  int crashes_ = 0;
};

TEST_F(LedgerTest, TheLimitIsAWall) {
  auto ledger = MustOpen(Options(1.0));
  auto first = ledger->Reserve(0.6, "far");
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_DOUBLE_EQ(ledger->SpentUsd(), 0.6);
  EXPECT_TRUE(absl::IsResourceExhausted(ledger->Reserve(0.5, "far").status()));
  ASSERT_TRUE(ledger->Reserve(0.4, "far").ok());
  EXPECT_TRUE(absl::IsResourceExhausted(ledger->Reserve(1e-9, "far").status()));
  EXPECT_TRUE(ledger->Reserve(0, "free").ok());
}

TEST_F(LedgerTest, SettlingGivesTheRestBack) {
  auto ledger = MustOpen(Options(1.0));
  auto call = ledger->Reserve(1.0, "far");
  ASSERT_TRUE(call.ok());
  ASSERT_TRUE(ledger->Settle(*call, 0.25).ok());
  EXPECT_DOUBLE_EQ(ledger->SpentUsd(), 0.25);
  EXPECT_TRUE(ledger->Reserve(0.75, "far").ok());
  EXPECT_TRUE(absl::IsNotFound(ledger->Settle(*call, 0.25)));
}

TEST_F(LedgerTest, ABillAboveItsBoundCountsInFullAndSurvivesACrash) {
  LedgerOptions options = Options(1.0, 0.1);
  auto ledger = MustOpen(options);
  auto call = ledger->Reserve(0.1, "far");
  ASSERT_TRUE(ledger->Settle(*call, 1.7).ok());
  EXPECT_DOUBLE_EQ(ledger->SpentUsd(), 1.7);
  auto after = MustOpen(Crashed(options));
  EXPECT_GE(after->SpentUsd(), 1.7);
}

TEST_F(LedgerTest, ABillThatIsNoAmountSettlesAtItsBound) {
  auto ledger = MustOpen(Options(10.0));
  for (double bill : {-1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    auto call = ledger->Reserve(1.0, "far");
    ASSERT_TRUE(ledger->Settle(*call, bill).ok());
  }
  EXPECT_DOUBLE_EQ(ledger->SpentUsd(), 3.0);
}

TEST_F(LedgerTest, BoundsThatAreNoAmountAreRefused) {
  auto ledger = MustOpen(Options(1.0));
  EXPECT_TRUE(absl::IsInvalidArgument(ledger->Reserve(-0.1, "far").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ledger->Reserve(std::nan(""), "far").status()));
  EXPECT_TRUE(absl::IsResourceExhausted(ledger->Reserve(1e30, "far").status()));
}

TEST_F(LedgerTest, AfterACrashTheLeaseIsSpent) {
  LedgerOptions options = Options(1.0, 0.2);
  auto ledger = MustOpen(options);
  auto call = ledger->Reserve(0.05, "far");
  ASSERT_TRUE(ledger->Settle(*call, 0.01).ok());
  LedgerOptions copy = Crashed(options);
  auto after = MustOpen(copy);
  EXPECT_DOUBLE_EQ(after->SpentUsd(), 0.2);
  // Another restart, without a call in between, loses nothing more.
  EXPECT_DOUBLE_EQ(MustOpen(Crashed(copy))->SpentUsd(), 0.2);
}

TEST_F(LedgerTest, ACleanCloseReturnsTheIdleLeaseAndKeepsReservations) {
  LedgerOptions options = Options(1.0, 0.5);
  {
    auto ledger = MustOpen(options);
    auto call = ledger->Reserve(0.05, "far");
    ASSERT_TRUE(ledger->Settle(*call, 0.01).ok());
    ASSERT_TRUE(ledger->Reserve(0.02, "far").ok());
  }
  EXPECT_NEAR(MustOpen(options)->SpentUsd(), 0.03, 1e-12);
}

TEST_F(LedgerTest, ANewWindowStartsAfreshAndOnlyForward) {
  auto ledger = MustOpen(Options(1.0));
  absl::Time first = ledger->window_start();
  auto call = ledger->Reserve(1.0, "far");
  ASSERT_TRUE(ledger->Settle(*call, 1.0).ok());
  clock_.Advance(absl::Hours(24) - absl::Nanoseconds(1));
  EXPECT_FALSE(ledger->Reserve(0.1, "far").ok());
  clock_.Advance(absl::Hours(49));
  EXPECT_EQ(ledger->window_start(), first + absl::Hours(72));
  EXPECT_DOUBLE_EQ(ledger->SpentUsd(), 0);
  ASSERT_TRUE(ledger->Reserve(1.0, "far").ok());
  // A clock set back does not open the old window again, nor this one a second time.
  clock_.Set(first);
  EXPECT_FALSE(ledger->Reserve(0.1, "far").ok());
  clock_.Set(first + absl::Hours(72));
  EXPECT_FALSE(ledger->Reserve(0.1, "far").ok());
}

TEST_F(LedgerTest, TheWindowSurvivesARestartWithTheClockSetBack) {
  LedgerOptions options = Options(1.0);
  absl::Time start = clock_.Now();
  {
    auto ledger = MustOpen(options);
    clock_.Advance(absl::Hours(30));
    auto call = ledger->Reserve(1.0, "far");
    ASSERT_TRUE(ledger->Settle(*call, 1.0).ok());
  }
  clock_.Set(start - absl::Hours(100));
  auto ledger = MustOpen(options);
  EXPECT_DOUBLE_EQ(ledger->SpentUsd(), 1.0);
  EXPECT_FALSE(ledger->Reserve(0.01, "far").ok());
}

TEST_F(LedgerTest, WhatIsReservedAtTheEndOfAWindowCountsInTheNext) {
  auto ledger = MustOpen(Options(1.0));
  auto call = ledger->Reserve(0.8, "far");
  clock_.Advance(absl::Hours(25));
  EXPECT_DOUBLE_EQ(ledger->SpentUsd(), 0.8);
  EXPECT_FALSE(ledger->Reserve(0.3, "far").ok());
  ASSERT_TRUE(ledger->Settle(*call, 0.1).ok());
  EXPECT_TRUE(ledger->Reserve(0.9, "far").ok());
}

TEST_F(LedgerTest, ANewLimitForgivesNothing) {
  auto ledger = MustOpen(Options(1.0));
  auto call = ledger->Reserve(0.9, "far");
  ASSERT_TRUE(ledger->Settle(*call, 0.9).ok());
  ASSERT_TRUE(ledger->SetLimit(0.5, absl::Hours(1), 0).ok());
  EXPECT_FALSE(ledger->Reserve(0.1, "far").ok());
  clock_.Advance(absl::Hours(2));  // the running window keeps its end
  EXPECT_DOUBLE_EQ(ledger->SpentUsd(), 0.9);
  ASSERT_TRUE(ledger->SetLimit(2.0, absl::Hours(1), 0).ok());
  EXPECT_TRUE(ledger->Reserve(1.0, "far").ok());
  clock_.Advance(absl::Hours(22));
  EXPECT_EQ(ledger->limit_usd(), 2.0);
  EXPECT_TRUE(absl::IsInvalidArgument(ledger->SetLimit(-1, absl::Hours(1), 0)));
  EXPECT_TRUE(absl::IsInvalidArgument(ledger->SetLimit(1, absl::ZeroDuration(), 0)));
}

TEST_F(LedgerTest, WithoutALimitEverythingIsRecordedAndNothingRefused) {
  LedgerOptions options = Options(std::nullopt);
  {
    auto ledger = MustOpen(options);
    EXPECT_FALSE(ledger->limit_usd().has_value());
    auto call = ledger->Reserve(1000, "far");
    ASSERT_TRUE(call.ok());
    ASSERT_TRUE(ledger->Settle(*call, 999).ok());
  }
  EXPECT_DOUBLE_EQ(MustOpen(options)->SpentUsd(), 999);
}

TEST_F(LedgerTest, OneProcessOwnsALedger) {
  LedgerOptions options = Options(1.0);
  auto ledger = MustOpen(options);
  auto second = Ledger::Open(options);
  EXPECT_TRUE(absl::IsUnavailable(second.status())) << second.status();
  ledger.reset();
  EXPECT_TRUE(Ledger::Open(options).ok());
}

TEST_F(LedgerTest, TheFileIsPrivate) {
  LedgerOptions options = Options(1.0);
  auto ledger = MustOpen(options);
  struct stat info;
  ASSERT_EQ(stat(options.path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(LedgerTest, ADamagedFileIsMovedAside) {
  LedgerOptions options = Options(1.0);
  std::ofstream(options.path) << std::string(8192, 'x');
  auto damaged = Ledger::Open(options);
  ASSERT_TRUE(absl::IsDataLoss(damaged.status())) << damaged.status();
  EXPECT_NE(damaged.status().message().find(".damaged-1700000000"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(options.path + ".damaged-1700000000"));
  EXPECT_TRUE(Ledger::Open(options).ok());
}

// Whoever finds the damage knows its own limit, not that of those who open the books after it.
TEST_F(LedgerTest, AfterDamageTheWindowsBudgetIsSpentWhateverTheLimits) {
  const std::optional<double> limits[] = {std::nullopt, 0.01, 0.5};
  for (const std::optional<double>& finder : limits) {
    LedgerOptions options = Options(finder);
    std::ofstream(options.path, std::ios::trunc) << std::string(8192, 'x');
    std::ofstream(options.path + "-wal") << "left over";
    ASSERT_TRUE(absl::IsDataLoss(Ledger::Open(options).status()));
    EXPECT_TRUE(Ledger::Look(options.path, clock_.Now())->unknown);
    for (const std::optional<double>& reader : limits) {
      auto ledger = MustOpen(Options(reader));
      ASSERT_TRUE(ledger);
      EXPECT_TRUE(absl::IsResourceExhausted(ledger->Reserve(1e-9, "far").status()));
      ASSERT_TRUE(ledger->SetLimit(1e6, options.window, 0).ok());
      EXPECT_TRUE(absl::IsResourceExhausted(ledger->Reserve(0.01, "far").status()));
      EXPECT_TRUE(ledger->Reserve(0, "free").ok());
      EXPECT_GE(ledger->SpentUsd(), 1e6);
    }
    clock_.Advance(options.window);
    EXPECT_FALSE(Ledger::Look(options.path, clock_.Now())->unknown);
    EXPECT_TRUE(MustOpen(Options(0.5))->Reserve(0.5, "far").ok());
  }
}

TEST_F(LedgerTest, ACrashWhileADamagedFileIsMovedForgivesNothing) {
  LedgerOptions options = Options(1.0);
  std::ofstream(options.path) << std::string(8192, 'x');
  ASSERT_TRUE(absl::IsDataLoss(Ledger::Open(options).status()));
  // As after the first of the two renames: the damaged file is gone, the new books are not placed.
  std::filesystem::rename(options.path, options.path + ".fresh");
  std::ofstream(options.path + "-wal") << "left over";
  EXPECT_FALSE(MustOpen(options)->Reserve(0.01, "far").ok());
  EXPECT_FALSE(std::filesystem::exists(options.path + ".fresh"));
  // As before it: the new books are there, and the damaged file still is.
  std::ofstream(options.path + ".fresh") << "half written";
  std::ofstream(options.path, std::ios::trunc) << std::string(8192, 'x');
  EXPECT_TRUE(absl::IsDataLoss(Ledger::Open(options).status()));
  EXPECT_FALSE(MustOpen(options)->Reserve(0.01, "far").ok());
}

TEST_F(LedgerTest, ABillWithoutMeasureStaysSpentOverCrashes) {
  LedgerOptions options = Options(1.0);
  {
    auto ledger = MustOpen(options);
    ASSERT_TRUE(ledger->Reserve(0.01, "far").ok());
    for (int i = 0; i < 5; ++i) {
      auto call = ledger->Reserve(0, "far");
      ASSERT_TRUE(call.ok()) << call.status();
      ASSERT_TRUE(ledger->Settle(*call, 1e300).ok()) << i;
    }
    options = Crashed(options);
  }
  for (int start = 0; start < 3; ++start) {
    auto ledger = MustOpen(options);
    ASSERT_TRUE(ledger) << start;
    EXPECT_GT(ledger->SpentUsd(), 1e9);
    EXPECT_FALSE(ledger->Reserve(0.01, "far").ok());
    auto free_call = ledger->Reserve(0, "far");
    ASSERT_TRUE(ledger->Settle(*free_call, 1e300).ok());
    ASSERT_TRUE(ledger->SetLimit(1.0, absl::Hours(24 * (2 + start)), 0).ok());
    options = Crashed(options);
  }
}

TEST_F(LedgerTest, ALeaseWithoutMeasureSurvivesACrash) {
  LedgerOptions options = Options(std::nullopt, 1e30);
  auto ledger = MustOpen(options);
  ASSERT_TRUE(ledger->Reserve(1, "far").ok());
  ASSERT_TRUE(ledger->Reserve(1e9, "far").ok());
  EXPECT_TRUE(MustOpen(Crashed(options)));
}

TEST_F(LedgerTest, ALongerWindowDoesNotBringBackOneThatIsOver) {
  LedgerOptions options = Options(1.0);
  options.window = absl::Minutes(1);
  {
    auto ledger = MustOpen(options);
    auto call = ledger->Reserve(1.0, "far");
    ASSERT_TRUE(ledger->Settle(*call, 1.0).ok());
  }
  clock_.Advance(absl::Minutes(2));
  options.window = absl::Hours(24);
  EXPECT_DOUBLE_EQ(MustOpen(options)->SpentUsd(), 0);
  {
    auto ledger = MustOpen(options);
    auto call = ledger->Reserve(1.0, "far");
    ASSERT_TRUE(ledger->Settle(*call, 1.0).ok());
    clock_.Advance(absl::Hours(25));
    ASSERT_TRUE(ledger->SetLimit(1.0, absl::Hours(72), 0).ok());
    EXPECT_DOUBLE_EQ(ledger->SpentUsd(), 0);
  }
}

TEST_F(LedgerTest, ALookSeesWhatIsSpentAndChangesNothing) {
  LedgerOptions options = Options(1.0, 0.25);
  EXPECT_TRUE(absl::IsNotFound(Ledger::Look(options.path, clock_.Now()).status()));
  EXPECT_FALSE(std::filesystem::exists(options.path));
  {
    auto ledger = MustOpen(options);
    auto call = ledger->Reserve(0.1, "far");
    ASSERT_TRUE(ledger->Settle(*call, 0.01).ok());
    auto look = Ledger::Look(options.path, clock_.Now());  // the owner's lock is no matter
    ASSERT_TRUE(look.ok()) << look.status();
    EXPECT_DOUBLE_EQ(look->spent_usd, 0.25) << "what is set aside counts";
    EXPECT_EQ(look->window_end, clock_.Now() + options.window);
  }
  auto content = [&] {
    std::ifstream file(options.path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  std::filesystem::remove(options.path + ".lock");
  const std::string before = content();
  EXPECT_DOUBLE_EQ(Ledger::Look(options.path, clock_.Now())->spent_usd, 0.01);
  EXPECT_DOUBLE_EQ(Ledger::Look(options.path, clock_.Now() + absl::Hours(24))->spent_usd, 0);
  EXPECT_EQ(content(), before);
  EXPECT_FALSE(std::filesystem::exists(options.path + ".lock"));
  std::ofstream(options.path, std::ios::trunc) << std::string(8192, 'x');
  EXPECT_TRUE(absl::IsDataLoss(Ledger::Look(options.path, clock_.Now()).status()));
  EXPECT_TRUE(std::filesystem::exists(options.path)) << "only an owner moves it";
}

TEST_F(LedgerTest, ADamagedPageIsFound) {
  LedgerOptions options = Options(1.0);
  MustOpen(options);  // closes again
  {
    std::fstream file(options.path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);  // the second page
    file << std::string(4096, '\x5a');
  }
  EXPECT_TRUE(absl::IsDataLoss(Ledger::Open(options).status()));
}

// Every write of this process to a file fails while it lives.
class NoDisk {
 public:
  NoDisk() {
    old_handler_ = signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old_);
    rlimit none = {0, old_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &none);
  }
  ~NoDisk() {
    setrlimit(RLIMIT_FSIZE, &old_);
    signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_;
  void (*old_handler_)(int);
};

TEST_F(LedgerTest, ADiskThatRefusesFailsClosed) {
  auto ledger = MustOpen(Options(1.0, 0.1));
  ASSERT_TRUE(ledger->Reserve(0.05, "far").ok());
  absl::Status in_lease, beyond, free_call;
  {
    NoDisk no_disk;
    in_lease = ledger->Reserve(0.05, "far").status();
    beyond = ledger->Reserve(0.05, "far").status();
    free_call = ledger->Reserve(0, "far").status();
  }
  EXPECT_TRUE(in_lease.ok()) << "money already on disk needs no disk";
  EXPECT_TRUE(absl::IsUnavailable(beyond)) << beyond;
  EXPECT_TRUE(free_call.ok()) << free_call;
  EXPECT_DOUBLE_EQ(ledger->SpentUsd(), 0.1);
  EXPECT_TRUE(ledger->Reserve(0.05, "far").ok()) << "and it goes on when the disk does";
}

TEST_F(LedgerTest, AFolderThatIsNotThereIsUnavailable) {
  LedgerOptions options = Options(1.0);
  options.path = dir_.File("absent/ledger.db");
  EXPECT_TRUE(absl::IsUnavailable(Ledger::Open(options).status()));
}

TEST_F(LedgerTest, MemoryLedgersAreIndependent) {
  LedgerOptions options = Options(1.0);
  options.path = ":memory:";
  auto one = MustOpen(options);
  auto two = MustOpen(options);
  ASSERT_TRUE(one->Reserve(1.0, "far").ok());
  EXPECT_TRUE(two->Reserve(1.0, "far").ok());
}

TEST_F(LedgerTest, NanoDollarsAddUpExactly) {
  auto ledger = MustOpen(Options(0.3));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(ledger->Reserve(0.1, "far").ok()) << i;
  EXPECT_FALSE(ledger->Reserve(1e-9, "far").ok());
}

}  // namespace
}  // namespace nearfar
