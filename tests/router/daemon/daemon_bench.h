// What tests of a running daemon share: tiny models, certificates, policies, and clients that keep
// what they hear.

#ifndef NEARFAR_TESTS_ROUTER_DAEMON_DAEMON_BENCH_H_
#define NEARFAR_TESTS_ROUTER_DAEMON_DAEMON_BENCH_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nearfar/v1/inference.grpc.pb.h"
#include "nearfar/v1/router.grpc.pb.h"
#include "tests/testing/certs.h"
#include "tests/testing/temp_dir.h"

namespace nearfar::testing {

// All that one streaming call said.
struct Heard {
  std::string text;
  std::vector<v1::RoutedResponse> events;
  grpc::Status status;

  // The last event; finished() or failed() of an empty message where there was none.
  const v1::RoutedResponse& last() const;
  bool finished() const { return status.ok() && last().has_finished(); }
};

class DaemonBench {
 public:
  std::string File(const std::string& name) const { return folder_.File(name); }
  void Write(const std::string& name, const std::string& text) const;
  // Made once a process.
  const TestCerts& certs() const;
  // A model that answers within milliseconds, and one that talks for seconds.
  const std::string& quick_model() const;
  const std::string& slow_model() const;

  // Writes a policy with one far side, reached over mutual TLS unless `target` is a Unix socket; an
  // empty target leaves it out. `more` is added as it is.
  std::string WritePolicy(const std::string& name, const std::string& far_target,
                          const std::string& more) const;

  // A channel to "unix:..." or, with mutual TLS where `tls`, to "127.0.0.1:port".
  std::shared_ptr<grpc::Channel> Connect(const std::string& address, bool tls = false) const;

 private:
  TempDir folder_;
};

v1::RoutedRequest Question(const std::string& text, v1::Route route = v1::ROUTE_UNSPECIFIED);

// One call to its end. `on_event` sees each event as it comes, and may cancel by the context.
Heard AskRouter(
    const std::shared_ptr<grpc::Channel>& channel, const v1::RoutedRequest& request,
    const std::function<void(const v1::RoutedResponse&, grpc::ClientContext*)>& on_event = nullptr);

v1::GetHealthResponse RouterHealth(const std::shared_ptr<grpc::Channel>& channel);

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_ROUTER_DAEMON_DAEMON_BENCH_H_
