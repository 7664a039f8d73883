// The daemon's small parts: addresses, deadlines, statuses, the count of running calls.

#include <grpcpp/support/status.h>

#include "gtest/gtest.h"
#include "router/daemon/active_calls.h"
#include "router/daemon/call_limits.h"
#include "router/daemon/grpc_server.h"
#include "router/daemon/grpc_status.h"
#include "router/daemon/listen_address.h"

namespace nearfar::daemon {
namespace {

TEST(ListenAddressTest, ReadsWhatOneCanListenOn) {
  struct Case {
    const char* text;
    bool local;
  };
  for (const Case& c :
       {Case{"unix:/run/x.sock", true}, Case{"127.0.0.1:7443", true}, Case{"127.9.9.9:0", true},
        Case{"[::1]:7443", true}, Case{"localhost:1", true}, Case{"0.0.0.0:7443", false},
        Case{"[::]:7443", false}, Case{"192.0.2.1:65535", false}}) {
    const auto address = ParseListenAddress(c.text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(address->local, c.local) << c.text;
  }
  EXPECT_EQ(ParseListenAddress("localhost:7")->grpc, "127.0.0.1:7");
}

TEST(ListenAddressTest, RefusesTheRest) {
  const std::string long_path = "unix:/" + std::string(200, 'x');
  for (const std::string& text :
       {std::string(""), std::string("7443"), std::string(":7443"), std::string("host:7443"),
        std::string("127.0.0.1"), std::string("127.0.0.1:x"), std::string("127.0.0.1:-1"),
        std::string("127.0.0.1:65536"), std::string("::1:7443"), std::string("unix:x"),
        std::string("unix:"), std::string("unix:/"), long_path, std::string("127.1:7443"),
        std::string("unix:/run/a%20b"), std::string("unix:/run/a?b"), std::string("unix:/run/a#b"),
        std::string("unix:/run/a b"), std::string("unix:/run/a\n")}) {
    EXPECT_EQ(ParseListenAddress(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(GrpcServerTest, TheMemoryOfConnectionsFollowsTheLimits) {
  DaemonConfig config;
  config.max_active = 3;
  config.max_request_bytes = 5 << 20;
  const size_t before = MemoryQuota(config);
  config.max_active = 5;
  EXPECT_EQ(MemoryQuota(config) - before, 2 * (kMostQueuedBytes + (size_t{5} << 20)));
  config.max_active = 10000;
  config.max_request_bytes = 64 << 20;
  EXPECT_GT(MemoryQuota(config), size_t{10000} * (size_t{64} << 20));  // no overflow
}

TEST(CallLimitsTest, EveryCallHasADeadline) {
  const CallLimits limits = {absl::Seconds(10), absl::Seconds(60)};
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  const auto deadline = [&](absl::Duration asked) {
    return DeadlineOf(absl::ToChronoTime(now + asked), now, limits) - now;
  };
  EXPECT_EQ(deadline(absl::Seconds(5)), absl::Seconds(5));
  EXPECT_EQ(deadline(absl::Hours(5)), absl::Seconds(60));
  EXPECT_EQ(deadline(absl::Seconds(-5)), absl::Seconds(-5));
  EXPECT_EQ(DeadlineOf(std::chrono::system_clock::time_point::max(), now, limits) - now,
            absl::Seconds(10));
}

TEST(CallLimitsTest, IdsCannotForgeLogLines) {
  EXPECT_EQ(LogName("r-1"), "r-1");
  EXPECT_EQ(LogName(""), "-");
  EXPECT_EQ(LogName("a\nERROR b\x1b[31m"), "a?ERROR?b?[31m");
  EXPECT_EQ(LogName(std::string(1000, 'x')).size(), 64u);
}

TEST(GrpcStatusTest, EveryCodeOfOursIsTheSameOfGrpc) {
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status = ToGrpc(absl::Status(static_cast<absl::StatusCode>(code), "why"));
    EXPECT_EQ(status.error_code(), code);
    EXPECT_EQ(status.error_message(), "why");
  }
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok());
  EXPECT_EQ(FromGrpc(ToGrpc(absl::DataLossError("why"))), absl::DataLossError("why"));
}

TEST(GrpcStatusTest, TheKindSaysMoreThanTheCode) {
  const auto code = [](ErrorKind kind) {
    return ToGrpc(BackendError{absl::ResourceExhaustedError("x"), kind, false}).error_code();
  };
  EXPECT_EQ(code(ErrorKind::kContextTooLong), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(code(ErrorKind::kCancelled), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(code(ErrorKind::kRateLimited), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(code(ErrorKind::kInternal), grpc::StatusCode::RESOURCE_EXHAUSTED);
  // An error is never sent as OK.
  EXPECT_EQ(ToGrpc(BackendError{absl::OkStatus(), ErrorKind::kInternal, false}).error_code(),
            grpc::StatusCode::INTERNAL);
}

TEST(ActiveCallsTest, AdmitsSoManyAndNoMore) {
  ActiveCalls calls(2);
  auto first = calls.Admit();
  auto second = calls.Admit();
  EXPECT_EQ(calls.Admit().status().code(), absl::StatusCode::kResourceExhausted);
  first->reset();
  EXPECT_EQ(calls.count(), 1);
  EXPECT_TRUE(calls.Admit().ok());
}

TEST(ActiveCallsTest, AnOperatorsCallTakesNoPlaceOfAnAnswer) {
  ActiveCalls calls(1);
  std::vector<std::unique_ptr<ActiveCalls::Ticket>> operators;
  for (int i = 0; i < kMostOperatorCalls; ++i) {
    auto ticket = calls.Admit(CallKind::kOperator);
    ASSERT_TRUE(ticket.ok()) << ticket.status();
    operators.push_back(*std::move(ticket));
  }
  EXPECT_EQ(calls.Admit(CallKind::kOperator).status().code(), absl::StatusCode::kResourceExhausted);
  auto answer = calls.Admit();
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(calls.Admit().status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(calls.count(), kMostOperatorCalls + 1);  // a drain waits for all
  operators.pop_back();
  EXPECT_TRUE(calls.Admit(CallKind::kOperator).ok());
  calls.Close();
  EXPECT_EQ(calls.Admit(CallKind::kOperator).status().code(), absl::StatusCode::kUnavailable);
}

TEST(ActiveCallsTest, ClosesAbortsAndTellsWhenIdle) {
  ActiveCalls calls(2);
  auto first = calls.Admit();
  auto second = calls.Admit();
  int aborts = 0, idle = 0;
  (*first)->OnAbort([&] { ++aborts; });
  calls.Close();
  EXPECT_EQ(calls.Admit().status().code(), absl::StatusCode::kUnavailable);
  calls.OnIdle([&] { ++idle; });
  calls.AbortAll();
  EXPECT_EQ(aborts, 1);
  (*second)->OnAbort([&] { ++aborts; });  // too late to be told by AbortAll
  EXPECT_EQ(aborts, 2);
  first->reset();
  EXPECT_EQ(idle, 0);
  second->reset();
  EXPECT_EQ(idle, 1);
  calls.OnIdle([&] { ++idle; });
  EXPECT_EQ(idle, 2);
}

}  // namespace
}  // namespace nearfar::daemon
