// The door to a daemon, against a service on a socket whose answers the test writes.

#include <gmock/gmock.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "nearfar/v1/router.grpc.pb.h"
#include "router/cli/answer.h"
#include "router/cli/answer_door.h"
#include "tests/router/cli/captured_terminal.h"
#include "tests/testing/temp_dir.h"

namespace nearfar::cli {
namespace {

using ::testing::HasSubstr;

class FakeService : public nearfar::v1::RouterService::Service {
 public:
  grpc::Status Explain(grpc::ServerContext*, const nearfar::v1::RoutedRequest*,
                       nearfar::v1::ExplainResponse* response) override {
    *response->mutable_decision() = decision;
    return grpc::Status::OK;
  }
  nearfar::v1::Decision decision;
};

struct EndSink : EventSink {
  void OnStarted(const Started&) override {}
  void OnDelta(const Delta&) override {}
  void OnFinished(const Finished&) override { done.Notify(); }
  void OnFailed(const Failed& event) override {
    failed = event;
    done.Notify();
  }
  Failed failed;
  absl::Notification done;
};

Query Saying(const std::string& text) {
  Query query;
  query.messages = {{"user", text}};
  return query;
}

class DaemonDoorTest : public ::testing::Test {
 protected:
  // `escaped` is the socket's name as gRPC wants it.
  std::unique_ptr<AnswerDoor> Serve(const std::string& name, const std::string& escaped) {
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(1000);
    builder.AddListeningPort(absl::StrCat("unix:", folder_.File(escaped)),
                             grpc::InsecureServerCredentials());
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    EXPECT_TRUE(std::filesystem::is_socket(folder_.File(name)));
    DoorFlags flags;
    flags.daemon = absl::StrCat("unix:", folder_.File(name));
    auto door = OpenDaemonDoor(flags);
    EXPECT_TRUE(door.ok()) << door.status();
    return door.ok() ? *std::move(door) : nullptr;
  }
  void TearDown() override {
    if (server_) server_->Shutdown();
  }

  testing::TempDir folder_;
  FakeService service_;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(DaemonDoorTest, ASocketsNameIsAPathAndNoUri) {
  const auto door = Serve("a%20b c#d?e", "a%2520b%20c%23d%3Fe");
  EXPECT_TRUE(door->Explain(Saying("hi")).ok());
}

TEST_F(DaemonDoorTest, AnExplanationTellsPrivacyAndFlagsAsInProcess) {
  service_.decision.set_route(nearfar::v1::ROUTE_NEAR);
  service_.decision.set_reason("tainted");
  service_.decision.set_taint(nearfar::v1::TAINT_SESSION);
  service_.decision.set_flagged(true);
  const auto door = Serve("d.sock", "d.sock");
  CapturedTerminal text, json;
  EXPECT_EQ(PrintExplanation(door.get(), Saying("hi"), /*as_json=*/false, text.get()), 0);
  EXPECT_THAT(text.out(), HasSubstr("privacy     this conversation stays on the device"));
  EXPECT_THAT(text.out(), HasSubstr("could not take it"));
  EXPECT_EQ(PrintExplanation(door.get(), Saying("hi"), /*as_json=*/true, json.get()), 0);
  EXPECT_THAT(json.out(), HasSubstr(R"("taint":"session","flagged":true)"));
}

TEST_F(DaemonDoorTest, WhatIsNoTextIsRefusedByNameBeforeItIsSent) {
  const auto door = Serve("d.sock", "d.sock");
  const std::string why = "messages[0].content: is not valid UTF-8";
  const absl::Status explained = door->Explain(Saying("\xff")).status();
  EXPECT_EQ(explained.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(explained.message(), why);
  auto sink = std::make_shared<EndSink>();
  const auto call = door->Start(Saying("\xff"), sink);
  sink->done.WaitForNotification();
  EXPECT_EQ(sink->failed.status, explained);
}

TEST_F(DaemonDoorTest, ATooLongQuestionNamesTheLimit) {
  const auto door = Serve("d.sock", "d.sock");
  const absl::Status status = door->Explain(Saying(std::string(2000, 'x'))).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("limits.max_request_bytes"));
}

}  // namespace
}  // namespace nearfar::cli
