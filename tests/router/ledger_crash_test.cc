// Promise (a): over random runs of calls, crashes and restarts the far side's own bill never passes
// the limit of a window. The far side here is a counter in shared memory, which no crash can cheat.
// Two ways to crash, 1,000 runs each: a new ledger opens the files as a dead process leaves them,
// and a forked child is really killed with SIGKILL.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <vector>

#include "router/ledger.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/temp_dir.h"

namespace nearfar {
namespace {

using testing::FakeClock;
using testing::TempDir;

constexpr int kRuns = 1000;
constexpr int64_t kNanos = 1'000'000'000;

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  int64_t Below(int64_t n) { return static_cast<int64_t>(engine_() % static_cast<uint64_t>(n)); }
  bool OneIn(int n) { return Below(n) == 0; }

 private:
  std::mt19937_64 engine_;
};

// A far side that bills each call when it is done, whether or not the caller still lives.
struct Call {
  int64_t id;
  int64_t bill;  // <= bound
};

double Usd(int64_t nanos) { return static_cast<double>(nanos) / kNanos; }

LedgerOptions RunOptions(Random* random, const std::string& path, FakeClock* clock) {
  LedgerOptions options;
  options.path = path;
  options.limit_usd = Usd(1'000'000 + random->Below(9'000'000));
  options.lease_usd = random->OneIn(4) ? 0 : Usd(1 + random->Below(2'000'000));
  options.clock = clock->function();
  return options;
}

// One process's life: calls until `steps` are over. `billed` grows at the moment the far side
// bills, before the ledger hears of it. Returns what was still running.
void Live(Ledger* ledger, Random* random, int steps, volatile int64_t* billed) {
  std::vector<Call> running;
  for (int step = 0; step < steps; ++step) {
    if (running.empty() || random->OneIn(2)) {
      int64_t bound = random->Below(800'000);
      auto id = ledger->Reserve(Usd(bound), "far");
      if (id.ok()) {
        int64_t bill = random->Below(bound + 1);
        *billed = *billed + bill;
        running.push_back({*id, bill});
      }
    } else {
      size_t which = random->Below(running.size());
      Call call = running[which];
      running.erase(running.begin() + which);
      ASSERT_TRUE(ledger->Settle(call.id, Usd(call.bill)).ok());
    }
  }
}

void CopyFiles(const std::string& from, const std::string& to) {
  for (const char* side : {"", "-wal"}) {
    std::error_code absent;
    std::filesystem::remove(to + side, absent);
    std::filesystem::copy_file(from + side, to + side, absent);
  }
}

void OneRun(uint64_t seed) {
  Random random(seed);
  TempDir dir;
  FakeClock clock;
  LedgerOptions options = RunOptions(&random, dir.File("0.db"), &clock);
  volatile int64_t billed = 0;
  for (int life = 0; life < 4; ++life) {
    auto ledger = Ledger::Open(options);
    ASSERT_TRUE(ledger.ok()) << ledger.status();
    Live(ledger->get(), &random, 1 + random.Below(30), &billed);
    ASSERT_LE(Usd(billed), *options.limit_usd) << "seed " << seed;
    ASSERT_GE((*ledger)->SpentUsd() * (1 + 1e-12), Usd(billed)) << "seed " << seed;
    if (random.OneIn(4)) continue;  // a clean end; the next life opens the same file
    std::string next = dir.File(std::to_string(life + 1) + ".db");
    CopyFiles(options.path, next);
    options.path = next;
  }
}

TEST(LedgerCrash, ThousandRunsNeverPassTheLimit) {
  for (uint64_t seed = 0; seed < kRuns && !::testing::Test::HasFatalFailure(); ++seed) OneRun(seed);
}

// The child's life: it shoots itself at a step that the seed names, in the middle of its calls.
[[noreturn]] void ChildLife(const LedgerOptions& options, uint64_t seed, volatile int64_t* billed) {
  Random random(seed);
  auto ledger = Ledger::Open(options);
  if (!ledger.ok()) _exit(3);
  Live(ledger->get(), &random, 1 + random.Below(40), billed);
  if (random.OneIn(5)) {
    ledger->reset();
    _exit(0);
  }
  kill(getpid(), SIGKILL);
  _exit(4);
}

TEST(LedgerCrash, KilledProcessesNeverPassTheLimit) {
  auto* billed = static_cast<volatile int64_t*>(
      mmap(nullptr, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(static_cast<void*>(const_cast<int64_t*>(billed)), MAP_FAILED);
  int killed = 0;
  for (int run = 0; run < kRuns; ++run) {
    Random random(900'000 + run);
    TempDir dir;
    FakeClock clock;
    LedgerOptions options = RunOptions(&random, dir.File("ledger.db"), &clock);
    *billed = 0;
    for (int life = 0; life < 4; ++life) {
      pid_t child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) ChildLife(options, run * 100 + life, billed);
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
      ASSERT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << WEXITSTATUS(status);
      ASSERT_LE(Usd(*billed), *options.limit_usd) << "run " << run;
    }
    auto after = Ledger::Open(options);
    ASSERT_TRUE(after.ok()) << after.status();
    ASSERT_GE((*after)->SpentUsd() * (1 + 1e-12), Usd(*billed)) << "run " << run;
  }
  EXPECT_GT(killed, kRuns);
}

}  // namespace
}  // namespace nearfar
