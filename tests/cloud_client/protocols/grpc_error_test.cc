// The whole table: every gRPC code, before and after it left and before and after the first event.

#include "cloud_client/protocols/grpc_error.h"

#include "gtest/gtest.h"

namespace nearfar {
namespace {

using Kind = CloudErrorKind;

struct Expected {
  grpc::StatusCode code;
  Kind kind;
  bool retryable;  // refused by a living server
  bool billable;   // once it left
};

constexpr Expected kTable[] = {
    {grpc::StatusCode::OK, Kind::kProtocol, false, true},
    {grpc::StatusCode::CANCELLED, Kind::kUnavailable, true, true},
    {grpc::StatusCode::UNKNOWN, Kind::kInternal, false, true},
    {grpc::StatusCode::INVALID_ARGUMENT, Kind::kBadRequest, false, false},
    {grpc::StatusCode::DEADLINE_EXCEEDED, Kind::kDeadline, false, true},
    {grpc::StatusCode::NOT_FOUND, Kind::kNotFound, false, false},
    {grpc::StatusCode::ALREADY_EXISTS, Kind::kInternal, false, true},
    {grpc::StatusCode::PERMISSION_DENIED, Kind::kAuth, false, false},
    {grpc::StatusCode::RESOURCE_EXHAUSTED, Kind::kRateLimited, false, false},
    {grpc::StatusCode::FAILED_PRECONDITION, Kind::kBadRequest, false, false},
    {grpc::StatusCode::ABORTED, Kind::kUnavailable, true, true},
    {grpc::StatusCode::OUT_OF_RANGE, Kind::kContextTooLong, false, false},
    {grpc::StatusCode::UNIMPLEMENTED, Kind::kProtocol, false, false},
    {grpc::StatusCode::INTERNAL, Kind::kInternal, false, true},
    {grpc::StatusCode::UNAVAILABLE, Kind::kUnavailable, true, true},
    {grpc::StatusCode::DATA_LOSS, Kind::kProtocol, false, true},
    {grpc::StatusCode::UNAUTHENTICATED, Kind::kAuth, false, false},
};

TEST(GrpcErrorTest, EveryCodeAtEveryStage) {
  for (int code = 0; code <= 16; ++code) EXPECT_EQ(kTable[code].code, code);
  for (const Expected& row : kTable) {
    SCOPED_TRACE(row.code);
    const grpc::Status status(row.code, "said so");
    const StubError not_left = TranslateGrpcError(status, {}, {.left = false});
    EXPECT_EQ(not_left.error.kind, row.kind);
    EXPECT_FALSE(not_left.retryable);  // the channel connects again by itself
    EXPECT_FALSE(not_left.error.maybe_billed);
    EXPECT_TRUE(not_left.error.nothing_sent);

    GrpcTrailers refusal;
    refusal.emplace(kErrorKindTrailer, "unavailable");
    const StubError refused = TranslateGrpcError(status, refusal, {.left = true});
    EXPECT_EQ(refused.retryable, row.retryable);
    EXPECT_FALSE(refused.error.maybe_billed);

    const StubError left = TranslateGrpcError(status, {}, {.left = true});
    EXPECT_EQ(left.error.kind, row.kind);
    EXPECT_EQ(left.error.maybe_billed, row.billable);
    EXPECT_FALSE(left.error.nothing_sent);
    EXPECT_FALSE(left.retryable);  // none that may be billed, none that may not be retried

    const StubError delivered = TranslateGrpcError(status, {}, {.left = true, .delivered = true});
    EXPECT_EQ(delivered.error.kind, row.kind);
    EXPECT_TRUE(delivered.error.maybe_billed);
    EXPECT_FALSE(delivered.retryable);
    EXPECT_TRUE(delivered.answered);
  }
}

TEST(GrpcErrorTest, CancelledByUsIsNobodysFault) {
  const StubError error =
      TranslateGrpcError({grpc::StatusCode::CANCELLED, ""}, {}, {.left = true, .cancelled = true});
  EXPECT_EQ(error.error.kind, Kind::kCancelled);
  EXPECT_TRUE(error.error.maybe_billed);
  EXPECT_FALSE(error.retryable);
}

TEST(GrpcErrorTest, PushBackMakesARateLimitRetryableAndNeverMeansNever) {
  GrpcTrailers trailers;
  trailers.emplace(kPushBackTrailer, "700");
  const grpc::Status limited(grpc::StatusCode::RESOURCE_EXHAUSTED, "busy");
  StubError error = TranslateGrpcError(limited, trailers, {});
  EXPECT_TRUE(error.retryable);
  EXPECT_EQ(*error.push_back, absl::Milliseconds(700));
  for (const char* never : {"-1", "soon", ""}) {
    GrpcTrailers no;
    no.emplace(kPushBackTrailer, never);
    EXPECT_FALSE(TranslateGrpcError(limited, no, {}).retryable) << never;
    no.emplace(kErrorKindTrailer, "unavailable");
    EXPECT_FALSE(TranslateGrpcError({grpc::StatusCode::UNAVAILABLE, ""}, no, {}).retryable);
  }
}

TEST(GrpcErrorTest, OurServersTrailerRefinesAndSaysThatNothingBegan) {
  GrpcTrailers trailers;
  trailers.emplace(kErrorKindTrailer, "context_too_long");
  StubError error =
      TranslateGrpcError({grpc::StatusCode::RESOURCE_EXHAUSTED, "full"}, trailers, {});
  EXPECT_EQ(error.error.kind, Kind::kContextTooLong);

  GrpcTrailers draining;
  draining.emplace(kErrorKindTrailer, "unavailable");
  error = TranslateGrpcError({grpc::StatusCode::UNAVAILABLE, "draining"}, draining, {});
  EXPECT_EQ(error.error.kind, Kind::kUnavailable);
  EXPECT_FALSE(error.error.maybe_billed);
  EXPECT_TRUE(error.retryable);

  // A kind that only the client can know is not taken from the wire.
  GrpcTrailers lying;
  lying.emplace(kErrorKindTrailer, "breaker_open");
  EXPECT_EQ(TranslateGrpcError({grpc::StatusCode::INTERNAL, ""}, lying, {}).error.kind,
            Kind::kInternal);
}

TEST(GrpcErrorTest, OnlyWhatNeverConnectedHasNotLeft) {
  const auto unavailable = [](const char* message) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, message);
  };
  const char refused[] = "failed to connect to all addresses; last error: UNKNOWN: refused";
  EXPECT_FALSE(MayHaveLeft(unavailable(refused), "dns:///far:7443"));
  EXPECT_FALSE(MayHaveLeft(unavailable(refused), "unix:///run/far.sock"));
  EXPECT_FALSE(MayHaveLeft(unavailable("DNS resolution failed for far"), "dns:///far:7443"));
  EXPECT_TRUE(MayHaveLeft(unavailable("Socket closed"), "dns:///far:7443"));
  EXPECT_TRUE(MayHaveLeft(unavailable(""), ""));
  // A server that says the same, of its own far side perhaps, has been reached.
  EXPECT_TRUE(MayHaveLeft(unavailable(refused), "ipv4:192.0.2.1:7443"));
  EXPECT_TRUE(MayHaveLeft(unavailable(refused), "unix:/run/far.sock"));
  // What this side ended by itself tells nothing; what only a server says tells enough.
  for (auto code : {grpc::StatusCode::DEADLINE_EXCEEDED, grpc::StatusCode::CANCELLED}) {
    EXPECT_FALSE(MayHaveLeft({code, ""}, "dns:///far:7443"));
    EXPECT_TRUE(MayHaveLeft({code, ""}, "ipv4:192.0.2.1:7443"));
  }
  EXPECT_TRUE(MayHaveLeft({grpc::StatusCode::INTERNAL, ""}, "dns:///far:7443"));
}

TEST(GrpcErrorTest, MessagesAreCutAndCleaned) {
  const StubError error = TranslateGrpcError(
      {grpc::StatusCode::INTERNAL, "a\x1b[31m\nb" + std::string(1000, 'x')}, {}, {});
  EXPECT_EQ(error.error.message.size(), 300u);
  EXPECT_EQ(error.error.message.substr(0, 8), "a [31m b");
  EXPECT_FALSE(TranslateGrpcError({grpc::StatusCode::INTERNAL, ""}, {}, {}).error.message.empty());
  // It becomes a proto3 string, which must be valid wherever it was cut and whatever came.
  EXPECT_EQ(CleanMessage(std::string(299, 'a') + "\xC3\xA9"), std::string(299, 'a'));
  EXPECT_EQ(StatusOfGrpc({grpc::StatusCode::INTERNAL, "a\xFFz"}).message(), "a\xEF\xBF\xBDz");
}

}  // namespace
}  // namespace nearfar
