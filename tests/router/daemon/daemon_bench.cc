#include "tests/router/daemon/daemon_bench.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/tiny_model.h"

namespace nearfar::testing {
namespace {

void WriteBytes(const std::string& path, const std::vector<uint8_t>& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

// A model whose greedy text wanders and does not end by itself.
TinyModelOptions Wandering(int layers, int context) {
  TinyModelOptions options;
  options.weights = DType::kQ8_0;
  options.tied_embeddings = false;
  options.layers = layers;
  options.context = context;
  options.seed = 1;
  return options;
}

// What takes long to make and is only read.
struct SharedFiles {
  TempDir folder;
  TestCerts certs = MakeTestCerts(folder.path());
  std::string quick_model = folder.File("quick.gguf");
  std::string slow_model = folder.File("slow.gguf");

  SharedFiles() {
    WriteBytes(quick_model, TinyModelBytes(Wandering(2, 512)));
    WriteBytes(slow_model, TinyModelBytes(Wandering(150, 4096)));
  }
};

const SharedFiles& TheSharedFiles() {
  static const SharedFiles files;
  return files;
}

}  // namespace

const v1::RoutedResponse& Heard::last() const {
  static const auto* const nothing = new v1::RoutedResponse();
  return events.empty() ? *nothing : events.back();
}

const TestCerts& DaemonBench::certs() const { return TheSharedFiles().certs; }
const std::string& DaemonBench::quick_model() const { return TheSharedFiles().quick_model; }
const std::string& DaemonBench::slow_model() const { return TheSharedFiles().slow_model; }

void DaemonBench::Write(const std::string& name, const std::string& text) const {
  std::ofstream(File(name)) << text;
}

std::string DaemonBench::WritePolicy(const std::string& name, const std::string& far_target,
                                     const std::string& more) const {
  std::string far;
  if (!far_target.empty()) {
    const bool tls = !absl::StartsWith(far_target, "unix:");
    far = absl::StrCat(
        "far:\n  - {name: home, protocol: nearfar, target: \"", far_target, "\", trust: owner,\n",
        tls ? absl::StrCat("     tls: {ca_file: ", certs().folder,
                           "/ca.crt, cert_file: ", certs().folder,
                           "/client.crt, key_file: ", certs().folder, "/client.key},\n")
            : "",
        "     price: {input_usd_per_mtok: 100, output_usd_per_mtok: 200}}\n");
  }
  Write(name, absl::StrCat("schema_version: 1\nname: test\n", far, more));
  return File(name);
}

std::shared_ptr<grpc::Channel> DaemonBench::Connect(const std::string& address, bool tls) const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (!tls) {
    return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  }
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = certs().ca;
  options.pem_cert_chain = certs().client_crt;
  options.pem_private_key = certs().client_key;
  return grpc::CreateCustomChannel(address, grpc::SslCredentials(options), arguments);
}

v1::RoutedRequest Question(const std::string& text, v1::Route route) {
  v1::RoutedRequest request;
  v1::ChatMessage* message = request.add_messages();
  message->set_role("user");
  message->set_content(text);
  request.set_max_tokens(12);
  request.mutable_options()->set_route(route);
  return request;
}

Heard AskRouter(
    const std::shared_ptr<grpc::Channel>& channel, const v1::RoutedRequest& request,
    const std::function<void(const v1::RoutedResponse&, grpc::ClientContext*)>& on_event) {
  Heard heard;
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  const auto stub = v1::RouterService::NewStub(channel);
  const auto reader = stub->Generate(&context, request);
  v1::RoutedResponse response;
  while (reader->Read(&response)) {
    if (response.has_delta()) heard.text += response.delta().text();
    if (on_event) on_event(response, &context);
    heard.events.push_back(response);
  }
  heard.status = reader->Finish();
  return heard;
}

v1::GetHealthResponse RouterHealth(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  v1::GetHealthResponse response;
  const grpc::Status status =
      v1::RouterService::NewStub(channel)->GetHealth(&context, v1::GetHealthRequest(), &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response;
}

}  // namespace nearfar::testing
