// The sending half of a stream over real gRPC: order, joining, bounds, one status, and the news
// that a client went away.
//
// Handlers and their threads may outlive the body of a test by a little, so they own what they use,
// or the body waits for the notification that they end with.

#include "router/daemon/stream_writer.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/server_builder.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "nearfar/v1/router.grpc.pb.h"

namespace nearfar::daemon {
namespace {

using Stream = StreamWriter<v1::RoutedResponse>;

v1::RoutedResponse Text(const std::string& text) {
  v1::RoutedResponse response;
  response.mutable_delta()->set_text(text);
  return response;
}

v1::RoutedResponse Finish() {
  v1::RoutedResponse response;
  response.mutable_finished()->set_source("near");
  return response;
}

v1::RoutedResponse Failure(const grpc::Status& status) {
  v1::RoutedResponse response;
  response.mutable_failed()->set_message(status.error_message());
  return response;
}

bool Join(v1::RoutedResponse* last, v1::RoutedResponse* next) {
  if (!last->has_delta() || !next->has_delta()) return false;
  last->mutable_delta()->mutable_text()->append(next->delta().text());
  return true;
}

// A service whose handler the test writes.
class Service : public v1::RouterService::CallbackService {
 public:
  std::function<void(std::shared_ptr<Stream>)> handler;
  grpc::ServerWriteReactor<v1::RoutedResponse>* Generate(grpc::CallbackServerContext* context,
                                                         const v1::RoutedRequest*) override {
    std::shared_ptr<Stream> stream = Stream::Make(context, &Join, failure, patience);
    if (auto ticket = calls.Admit(); ticket.ok()) stream->Hold(*std::move(ticket));
    handler(stream);
    return stream.get();
  }
  ActiveCalls calls{100};
  Stream::Failure failure = nullptr;
  absl::Duration patience = absl::Hours(1);  // no test waits for it
};

class StreamWriterTest : public ::testing::Test {
 protected:
  StreamWriterTest() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE,
                     0);  // the window of a client stays as small as it is
    stub_ = v1::RouterService::NewStub(grpc::CreateCustomChannel(
        absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials(), arguments));
  }
  ~StreamWriterTest() override {
    JoinThreads();
    server_->Shutdown(std::chrono::system_clock::now());
    EXPECT_EQ(service_.calls.count(), 0);
  }
  // For handlers, which may run still when the body of the test is over.
  void Spawn(std::function<void()> work) {
    absl::MutexLock lock(&mutex_);
    threads_.emplace_back(std::move(work));
  }
  void JoinThreads() {
    absl::MutexLock lock(&mutex_);
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  // Waits until gRPC is done with the one call of the test, which was admitted.
  void WaitUntilOver() {
    absl::Notification over;
    service_.calls.Close();
    service_.calls.OnIdle([&] { over.Notify(); });
    over.WaitForNotification();
  }

  Service service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::RouterService::Stub> stub_;
  absl::Mutex mutex_;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  grpc::ClientContext context_;
};

TEST_F(StreamWriterTest, EverythingArrivesInOrderAndThenTheStatus) {
  service_.handler = [&](std::shared_ptr<Stream> stream) {
    Spawn([stream] {
      for (int i = 0; i < 2000; ++i) stream->Push(Text(absl::StrCat(i, " ")));
      stream->End(grpc::Status(grpc::StatusCode::ABORTED, "the first"));
      stream->End(grpc::Status::OK);  // too late
      stream->Push(Text("too late"));
    });
  };
  const auto reader = stub_->Generate(&context_, {});
  v1::RoutedResponse response;
  std::string heard;
  int messages = 0;
  while (reader->Read(&response)) heard += response.delta().text(), ++messages;
  std::string said;
  for (int i = 0; i < 2000; ++i) absl::StrAppend(&said, i, " ");
  EXPECT_EQ(heard, said);
  EXPECT_LE(messages, 2000);
  EXPECT_EQ(reader->Finish().error_message(), "the first");
}

TEST_F(StreamWriterTest, EndsFromWithinTheHandler) {
  service_.handler = [](std::shared_ptr<Stream> stream) {
    stream->Push(Text("x"));
    stream->End(grpc::Status::OK);
  };
  const auto reader = stub_->Generate(&context_, {});
  v1::RoutedResponse response;
  EXPECT_TRUE(reader->Read(&response));
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(StreamWriterTest, TellsOnceThatTheClientIsGone) {
  std::atomic<int> gone{0};
  absl::Notification told;
  service_.handler = [&](std::shared_ptr<Stream> stream) {
    stream->Push(Text("x"));
    stream->OnGone([&, stream] {
      ++gone;
      stream->End(grpc::Status::CANCELLED);
      told.Notify();
    });
  };
  const auto reader = stub_->Generate(&context_, {});
  v1::RoutedResponse response;
  ASSERT_TRUE(reader->Read(&response));
  context_.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  told.WaitForNotification();
  EXPECT_EQ(gone.load(), 1);
}

TEST_F(StreamWriterTest, WhoComesLateHearsThatTheClientIsGoneAtOnce) {
  std::shared_ptr<Stream> late;
  service_.handler = [&](std::shared_ptr<Stream> stream) {
    late = stream;
    stream->Stop(grpc::Status::CANCELLED);
  };
  const auto reader = stub_->Generate(&context_, {});
  v1::RoutedResponse response;
  EXPECT_FALSE(reader->Read(&response));
  reader->Finish();
  WaitUntilOver();
  bool told = false;
  late->OnGone([&] { told = true; });
  EXPECT_TRUE(told);
}

TEST_F(StreamWriterTest, WhoComesLateToACallThatEndedWellIsNotTold) {
  std::shared_ptr<Stream> late;
  service_.handler = [&](std::shared_ptr<Stream> stream) {
    late = stream;
    stream->End(grpc::Status::OK);
  };
  const auto reader = stub_->Generate(&context_, {});
  EXPECT_TRUE(reader->Finish().ok());
  WaitUntilOver();
  late->Stop(grpc::Status::CANCELLED);  // too late, too
  late->OnGone([] { ADD_FAILURE() << "nobody went away"; });
}

// While a call is being stopped, gRPC may be done with it before its producer was told: here Stop
// is held up until it is.
TEST_F(StreamWriterTest, TheProducerIsToldEvenIfTheCallIsOverBefore) {
  static std::function<void()>* const held_up = new std::function<void()>;
  service_.failure = [](const grpc::Status& status) {
    (*held_up)();
    return Failure(status);
  };
  const auto gone = std::make_shared<absl::Notification>();
  service_.handler = [&, gone](std::shared_ptr<Stream> stream) {
    *held_up = [this, stream] {
      stream->End(grpc::Status::CANCELLED);
      WaitUntilOver();
    };
    stream->OnGone([gone] { gone->Notify(); });
    Spawn([stream] { stream->Stop(grpc::Status::CANCELLED); });
  };
  const auto reader = stub_->Generate(&context_, {});
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  JoinThreads();
  EXPECT_TRUE(gone->HasBeenNotified());
  *held_up = nullptr;
}

TEST_F(StreamWriterTest, AReaderThatDoesNotReadIsCutOff) {
  const auto gone = std::make_shared<absl::Notification>();
  service_.handler = [this, gone](std::shared_ptr<Stream> stream) {
    stream->OnGone([gone] { gone->Notify(); });
    Spawn([stream, gone] {
      const v1::RoutedResponse chunk = Text(std::string(1 << 16, 'x'));
      while (!gone->HasBeenNotified()) stream->Push(chunk);
    });
  };
  const auto reader = stub_->Generate(&context_, {});
  gone->WaitForNotification();  // though nothing was read
  v1::RoutedResponse response;
  while (reader->Read(&response)) {
  }
  EXPECT_FALSE(reader->Finish().ok());
}

TEST_F(StreamWriterTest, TheDeadlineEndsWhatItsProducerForgot) {
  absl::Notification gone;
  service_.handler = [&](std::shared_ptr<Stream> stream) {
    stream->EndBy(absl::Now() + absl::Milliseconds(20));
    stream->OnGone([&] { gone.Notify(); });
  };
  const auto reader = stub_->Generate(&context_, {});
  v1::RoutedResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  gone.WaitForNotification();
}

// What the deadline has to say is itself more than the client's window holds.
TEST_F(StreamWriterTest, TheDeadlineEndsWhatAReaderThatDoesNotReadHoldsUp) {
  service_.failure = [](const grpc::Status&) { return Text(std::string(16 << 20, 'x')); };
  service_.patience = absl::Milliseconds(1);
  absl::Notification admitted;
  service_.handler = [&](std::shared_ptr<Stream> stream) {
    stream->EndBy(absl::Now());
    admitted.Notify();
  };
  const auto reader = stub_->Generate(&context_, {});
  admitted.WaitForNotification();
  WaitUntilOver();  // though nothing was read
  v1::RoutedResponse response;
  while (reader->Read(&response)) {
  }
  EXPECT_FALSE(reader->Finish().ok());
}

TEST_F(StreamWriterTest, AbortEndsEveryStream) {
  service_.patience = absl::ZeroDuration();
  absl::Notification gone;
  service_.handler = [&](std::shared_ptr<Stream> stream) {
    stream->Push(Text("x"));
    stream->OnGone([&] { gone.Notify(); });
  };
  const auto reader = stub_->Generate(&context_, {});
  v1::RoutedResponse response;
  ASSERT_TRUE(reader->Read(&response));
  service_.calls.Close();
  service_.calls.AbortAll();
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  gone.WaitForNotification();
}

TEST_F(StreamWriterTest, TheLastEventAndTheStatusAreOneStep) {
  service_.handler = [&](std::shared_ptr<Stream> stream) {
    stream->EndWith(Finish(), grpc::Status::OK);
    stream->Stop(grpc::Status(grpc::StatusCode::UNAVAILABLE, "too late"));
  };
  const auto reader = stub_->Generate(&context_, {});
  v1::RoutedResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_TRUE(response.has_finished());
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(StreamWriterTest, ALastEventThatComesTooLateIsNotSent) {
  service_.failure = &Failure;
  service_.handler = [&](std::shared_ptr<Stream> stream) {
    stream->Stop(grpc::Status(grpc::StatusCode::UNAVAILABLE, "first"));
    stream->EndWith(Finish(), grpc::Status::OK);
  };
  const auto reader = stub_->Generate(&context_, {});
  v1::RoutedResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.failed().message(), "first");
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_message(), "first");
}

TEST_F(StreamWriterTest, TheDeadlineIsALastEventToo) {
  service_.failure = &Failure;
  service_.handler = [&](std::shared_ptr<Stream> stream) {
    stream->EndBy(absl::Now() + absl::Milliseconds(20));
  };
  const auto reader = stub_->Generate(&context_, {});
  v1::RoutedResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.failed().message(), "the time of this call is up");
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(StreamWriterTest, AtAnAbortTheProducerHasTheLastWord) {
  service_.failure = &Failure;
  service_.handler = [&](std::shared_ptr<Stream> stream) {
    stream->Push(Text("x"));
    stream->OnGone([stream] {
      const grpc::Status why = stream->ReasonOf(grpc::Status::CANCELLED);
      v1::RoutedResponse last = Failure(why);
      last.mutable_failed()->set_cost_usd(0.5);
      stream->EndWith(std::move(last), why);
    });
  };
  const auto reader = stub_->Generate(&context_, {});
  v1::RoutedResponse response;
  ASSERT_TRUE(reader->Read(&response));
  service_.calls.Close();
  service_.calls.AbortAll();
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.failed().cost_usd(), 0.5);
  EXPECT_EQ(response.failed().message(), "the daemon is shutting down");
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(StreamWriterTest, AProducerThatSaysNothingAtAnAbortIsNotWaitedForForEver) {
  service_.patience = absl::ZeroDuration();
  service_.failure = &Failure;
  service_.handler = [&](std::shared_ptr<Stream> stream) { stream->Push(Text("x")); };
  const auto reader = stub_->Generate(&context_, {});
  v1::RoutedResponse response;
  ASSERT_TRUE(reader->Read(&response));
  service_.calls.Close();
  service_.calls.AbortAll();
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.failed().message(), "the daemon is shutting down");
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace nearfar::daemon
