#include "cloud_client/stub/auth_stub.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace nearfar {
namespace {

class AuthStub final : public CloudStub {
 public:
  AuthStub(std::shared_ptr<CloudStub> inner, const std::string& api_key)
      : inner_(std::move(inner)), header_(absl::StrCat("Bearer ", api_key)) {}

  std::unique_ptr<CloudCall> Start(const StubRequest& request,
                                   std::shared_ptr<StubSink> sink) override {
    return inner_->Start(WithKey(request), std::move(sink));
  }

  absl::StatusOr<CloudModel> GetModel(const StubRequest& request) override {
    return inner_->GetModel(WithKey(request));
  }

 private:
  StubRequest WithKey(StubRequest request) const {
    request.metadata.emplace_back("authorization", header_);
    return request;
  }

  const std::shared_ptr<CloudStub> inner_;
  const std::string header_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<CloudStub>> MakeAuthStub(std::shared_ptr<CloudStub> inner,
                                                        const std::string& api_key) {
  for (char c : api_key) {
    if (c <= 0x20 || c >= 0x7F) {
      return absl::InvalidArgumentError(
          "api_key holds a space, a line break or another byte that no key has (check its file)");
    }
  }
  return std::make_shared<AuthStub>(std::move(inner), api_key);
}

}  // namespace nearfar
