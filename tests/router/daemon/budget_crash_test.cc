// Promise (a), end to end: a router that asks a far side for money, killed at random points and
// started again over the same ledger. The far side keeps its own bill in memory that outlives every
// process; over all runs it never passes the limit. (ledger_crash_test holds the ledger alone.)
//
// A life is a forked process: it opens the ledger, makes a router, asks questions, and at some
// event of its far calls kills itself with SIGKILL. 100 runs always, 1,000 with label long.

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "policies/policy.h"
#include "router/ledger.h"
#include "router/router.h"
#include "tests/testing/temp_dir.h"

namespace nearfar {
namespace {

constexpr int64_t kNanos = 1'000'000'000;
constexpr double kInputUsd = 40, kOutputUsd = 90;  // per million tokens

// Shared by the test and all its children.
struct Books {
  std::atomic<int64_t> billed_nanos;
  std::atomic<int64_t> far_calls;
  std::atomic<int64_t> answered_near;  // because the money was spent, or far failed
};

Books* SharedBooks() {
  void* memory =
      mmap(nullptr, sizeof(Books), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return new (memory) Books();
}

using Random = std::mt19937_64;

int64_t Below(Random* random, int64_t n) {
  return static_cast<int64_t>((*random)() % static_cast<uint64_t>(n));
}

// Kills the process when its count of events has run down.
class Fuse {
 public:
  explicit Fuse(int64_t events) : left_(events) {}
  void Burn() {
    if (--left_ == 0) kill(getpid(), SIGKILL);
  }

 private:
  std::atomic<int64_t> left_;
};

class NoCall : public BackendCall {
 public:
  void Cancel() override {}
};

class NearSide : public Backend {
 public:
  std::unique_ptr<BackendCall> Start(BackendRequest, absl::Time,
                                     std::shared_ptr<BackendSink> sink) override {
    sink->OnStarted({"near", "n", 3});
    sink->OnDelta({"near", {}});
    sink->OnFinished({FinishReason::kStop, {3, 1, 0}, 0});
    return std::make_unique<NoCall>();
  }
  BackendDescription Describe() const override { return {"near", "near", {}, {}, 0, 0}; }
  Health health() const override { return Health::kHealthy; }
  BackendSpeed speed() const override { return {}; }
  std::optional<int64_t> CountTokens(const std::vector<Message>&) const override { return 3; }
};

// Bills whenever it worked, whether or not anybody lives to hear of it.
class FarSide : public Backend {
 public:
  FarSide(Random* random, Fuse* fuse, Books* books) : random_(random), fuse_(fuse), books_(books) {}

  std::unique_ptr<BackendCall> Start(BackendRequest request, absl::Time,
                                     std::shared_ptr<BackendSink> sink) override {
    fuse_->Burn();
    ++books_->far_calls;
    switch (Below(random_, 6)) {
      case 0:  // refused before any work
        sink->OnError({absl::UnavailableError("busy"), ErrorKind::kUnavailable, false});
        return std::make_unique<NoCall>();
      case 1:  // works, then breaks
        Bill(request);
        fuse_->Burn();
        sink->OnStarted({"far", "f", 3});
        sink->OnDelta({"half", {}});
        fuse_->Burn();
        sink->OnError({absl::UnavailableError("broke"), ErrorKind::kUnavailable, true});
        return std::make_unique<NoCall>();
      case 2:  // works and never ends by itself
        Bill(request);
        sink->OnStarted({"far", "f", 3});
        fuse_->Burn();
        return std::make_unique<HangingCall>(std::move(sink), fuse_);
      default: {
        const double bill = Bill(request);
        fuse_->Burn();
        sink->OnStarted({"far", "f", 3});
        sink->OnDelta({"far", {}});
        fuse_->Burn();
        sink->OnFinished({FinishReason::kStop, usage_, bill});
        fuse_->Burn();
        return std::make_unique<NoCall>();
      }
    }
  }
  BackendDescription Describe() const override {
    return {"far", "far", {}, {}, kInputUsd, kOutputUsd};
  }
  Health health() const override { return Health::kHealthy; }
  BackendSpeed speed() const override { return {}; }
  std::optional<int64_t> CountTokens(const std::vector<Message>&) const override {
    return std::nullopt;
  }

 private:
  class HangingCall : public BackendCall {
   public:
    HangingCall(std::shared_ptr<BackendSink> sink, Fuse* fuse)
        : sink_(std::move(sink)), fuse_(fuse) {}
    void Cancel() override {
      if (std::exchange(cancelled_, true)) return;
      fuse_->Burn();
      sink_->OnError({absl::CancelledError("cancelled"), ErrorKind::kCancelled, true});
    }

   private:
    const std::shared_ptr<BackendSink> sink_;
    Fuse* const fuse_;
    bool cancelled_ = false;
  };

  // Any usage that the request allows: a token has at least one byte.
  double Bill(const BackendRequest& request) {
    int64_t bytes = 0;
    for (const Message& message : request.messages) {
      bytes += static_cast<int64_t>(message.content.size());
    }
    usage_.prompt_tokens = 1 + Below(random_, bytes);
    usage_.completion_tokens = Below(random_, request.max_tokens + 1);
    if (Below(random_, 3) == 0) {  // as much as it may
      usage_.prompt_tokens = bytes;
      usage_.completion_tokens = request.max_tokens;
    }
    const double usd = (static_cast<double>(usage_.prompt_tokens) * kInputUsd +
                        static_cast<double>(usage_.completion_tokens) * kOutputUsd) /
                       1e6;
    books_->billed_nanos += static_cast<int64_t>(usd * kNanos);
    return usd;
  }

  Random* const random_;
  Fuse* const fuse_;
  Books* const books_;
  Usage usage_;
};

class Listener : public EventSink {
 public:
  void OnStarted(const Started&) override {}
  void OnDelta(const Delta&) override {}
  void OnFinished(const Finished& event) override {
    near = event.source == "near";
    over.Notify();
  }
  void OnFailed(const Failed&) override { over.Notify(); }
  bool near = false;
  absl::Notification over;
};

PolicyConfig ConfigFor(double limit_usd, double lease_usd) {
  PolicyConfig config;
  config.name = "crash";
  config.choose.kind = PolicyKind::kFixed;
  config.choose.route = Route::kFar;
  FarConfig far;
  far.name = "far";
  far.target = "unix:/nowhere";
  far.input_usd_per_mtok = kInputUsd;
  far.output_usd_per_mtok = kOutputUsd;
  config.far = {far};
  config.budget.limit_usd = limit_usd;
  config.budget.lease_usd = lease_usd;
  return config;
}

// Exit codes of a life that was not killed.
enum LifeEnd { kWell = 0, kNoLedger = 10, kNoPolicy = 11, kNoRouter = 12 };

// One process's life over the ledger at `path`.
int Live(const std::string& path, double limit_usd, double lease_usd, uint64_t seed, Books* books) {
  Random random(seed);
  Fuse fuse(Below(&random, 4) == 0 ? 1 << 30 : 1 + Below(&random, 60));
  const PolicyConfig config = ConfigFor(limit_usd, lease_usd);
  LedgerOptions ledger_options;
  ledger_options.path = path;
  ledger_options.limit_usd = limit_usd;
  ledger_options.lease_usd = lease_usd;
  auto ledger = Ledger::Open(ledger_options);
  if (!ledger.ok()) return kNoLedger;
  auto policy = MakePolicy(config);
  if (!policy.ok()) return kNoPolicy;
  RouterOptions options;
  options.policy = *policy;
  options.near = std::make_shared<NearSide>();
  options.far["far"] = std::make_shared<FarSide>(&random, &fuse, books);
  options.ledger = *std::move(ledger);
  auto router = Router::Create(std::move(options));
  if (!router.ok()) return kNoRouter;

  for (int i = 0; i < 25; ++i) {
    Query query;
    query.messages = {{"user", std::string(1 + Below(&random, 400), 'q')}};
    query.max_tokens = static_cast<int>(1 + Below(&random, 200));
    auto listener = std::make_shared<Listener>();
    auto call = (*router)->Start(std::move(query), listener);
    // Ends what hangs; what has ended does not mind.
    call->Cancel();
    listener->over.WaitForNotification();
    if (listener->near) ++books->answered_near;
  }
  return kWell;
}

struct Tally {
  int killed = 0, lived = 0;
  int filled = 0;  // runs whose bill came past half of the limit
  int64_t near = 0;
};

void RunOnce(uint64_t seed, Books* books, Tally* tally) {
  Random random(seed);
  testing::TempDir folder;
  const double limit_usd = static_cast<double>(20 + Below(&random, 400)) / 1000;
  const double lease_usd =
      Below(&random, 3) == 0 ? 0 : limit_usd / static_cast<double>(2 + Below(&random, 40));
  books->billed_nanos = 0;
  books->answered_near = 0;
  const int64_t lives = 2 + Below(&random, 4);
  for (int64_t life = 0; life < lives; ++life) {
    const uint64_t life_seed = random();
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) _exit(Live(folder.File("ledger.db"), limit_usd, lease_usd, life_seed, books));
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    ASSERT_TRUE(killed || (WIFEXITED(status) && WEXITSTATUS(status) == kWell))
        << "seed " << seed << " life " << life << " status " << status;
    ++(killed ? tally->killed : tally->lived);
    ASSERT_LE(books->billed_nanos.load(), static_cast<int64_t>(limit_usd * kNanos) + 1)
        << "seed " << seed << " life " << life;
  }
  tally->near += books->answered_near;
  if (static_cast<double>(books->billed_nanos) > limit_usd * kNanos / 2) ++tally->filled;
}

void RunMany(int runs) {
  Books* books = SharedBooks();
  Tally tally;
  for (int run = 0; run < runs; ++run) {
    RunOnce(static_cast<uint64_t>(run) + 1, books, &tally);
    if (::testing::Test::HasFatalFailure()) return;
  }
  // The bound was tried, not avoided.
  EXPECT_GT(tally.killed, runs / 2);
  EXPECT_GT(tally.lived, runs / 4);
  EXPECT_GT(tally.filled, runs / 10);
  EXPECT_GT(tally.near, runs);
  EXPECT_GT(books->far_calls.load(), runs * 5);
  munmap(books, sizeof(Books));
}

TEST(BudgetCrashTest, TheFarSidesBillNeverPassesTheLimit) { RunMany(100); }
TEST(BudgetCrashLongTest, TheFarSidesBillNeverPassesTheLimit) { RunMany(1000); }

}  // namespace
}  // namespace nearfar
