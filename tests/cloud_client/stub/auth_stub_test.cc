// The key travels as a bearer token; a key that cannot is refused without being shown.

#include "cloud_client/stub/auth_stub.h"

#include "gtest/gtest.h"
#include "tests/cloud_client/fake_stub.h"

namespace nearfar {
namespace {

TEST(AuthStubTest, AddsTheBearerToken) {
  auto fake = std::make_shared<testing::FakeStub>();
  auto stub = MakeAuthStub(fake, "s3cret");
  ASSERT_TRUE(stub.ok());
  (*stub)->Start(StubRequest(), std::make_shared<testing::StubRecorder>());
  (void)(*stub)->GetModel(StubRequest());
  ASSERT_EQ(fake->calls.size(), 2u);
  for (const auto& call : fake->calls) {
    ASSERT_EQ(call->request.metadata.size(), 1u);
    EXPECT_EQ(call->request.metadata[0].first, "authorization");
    EXPECT_EQ(call->request.metadata[0].second, "Bearer s3cret");
  }
}

TEST(AuthStubTest, RefusesAKeyThatNoHeaderCanCarryAndDoesNotShowIt) {
  for (const char* key : {"s3cret\n", "s3 cret", "s3cret\x7f", "s\xc3\xa9"}) {
    auto stub = MakeAuthStub(std::make_shared<testing::FakeStub>(), key);
    ASSERT_FALSE(stub.ok());
    EXPECT_EQ(stub.status().message().find("s3"), absl::string_view::npos);
  }
}

}  // namespace
}  // namespace nearfar
