// Reload by request and by a changed file; a bad file leaves the good one and says so.

#include "router/daemon/policy_reloader.h"

#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "policies/policy_file.h"
#include "tests/testing/temp_dir.h"

namespace nearfar::daemon {
namespace {

std::string PolicyNamed(const std::string& name) {
  return absl::StrCat("schema_version: 1\nname: ", name, "\nchoose: {kind: fixed, route: near}\n");
}

class PolicyReloaderTest : public ::testing::Test {
 protected:
  PolicyReloaderTest() {
    Write(PolicyNamed("first"));
    ReloaderOptions options;
    options.path = path_;
    options.apply = [this](const PolicyConfig& config) {
      if (config.name == "slow") {
        applying_.Notify();
        go_on_.WaitForNotification();
      }
      return config.name == "refused" ? absl::FailedPreconditionError("not this one")
                                      : absl::OkStatus();
    };
    options.report = [this](const ReloadState& state) {
      absl::MutexLock lock(&mutex_);
      reports_.push_back(state);
    };
    reloader_ = std::make_unique<PolicyReloader>(options, *LoadPolicyFile(path_));
  }

  void Write(const std::string& text) { std::ofstream(path_) << text; }
  // As careful programs write: beside, then renamed over.
  void Replace(const std::string& text) {
    std::ofstream(path_ + ".new") << text;
    ASSERT_EQ(std::rename((path_ + ".new").c_str(), path_.c_str()), 0);
  }
  ReloadState RequestAndWait() {
    absl::Notification done;
    ReloadState result;
    reloader_->Request([&](const ReloadState& state) {
      result = state;
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }
  // Waits until the reloader has told of a state that fits.
  void WaitForReport(const std::function<bool(const ReloadState&)>& fits) {
    absl::MutexLock lock(&mutex_);
    const auto there = [&] {
      for (const ReloadState& state : reports_) {
        if (fits(state)) return true;
      }
      return false;
    };
    mutex_.Await(absl::Condition(&there));
  }

  testing::TempDir folder_;
  const std::string path_ = folder_.File("policy.yaml");
  absl::Notification applying_, go_on_;  // of the policy named slow
  absl::Mutex mutex_;
  std::vector<ReloadState> reports_;
  std::unique_ptr<PolicyReloader> reloader_;
};

TEST_F(PolicyReloaderTest, ReloadsWhenAsked) {
  EXPECT_EQ(reloader_->state().name, "first");
  EXPECT_TRUE(reloader_->state().last.ok());
  const ReloadState same = RequestAndWait();  // an unchanged file is read again, too
  EXPECT_EQ(same.name, "first");
  const std::string revision = same.revision;
  Replace(PolicyNamed("second"));
  const ReloadState state = RequestAndWait();
  EXPECT_EQ(state.name, "second");
  EXPECT_NE(state.revision, revision);
}

TEST_F(PolicyReloaderTest, ABadFileLeavesTheGoodOneAndStaysVisible) {
  Replace("schema_version: 1\nname: bad\nchoose: {kind: dice}\n");
  const ReloadState state = RequestAndWait();
  EXPECT_EQ(state.name, "first");
  EXPECT_EQ(state.last.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(state.last.message()).find("policy.yaml:3:"), std::string::npos);
  EXPECT_EQ(reloader_->state().last, state.last);
  Replace(PolicyNamed("refused"));
  EXPECT_EQ(RequestAndWait().last.code(), absl::StatusCode::kFailedPrecondition);
  std::remove(path_.c_str());
  EXPECT_EQ(RequestAndWait().last.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(reloader_->state().name, "first");
  Replace(PolicyNamed("second"));
  EXPECT_TRUE(RequestAndWait().last.ok());
  EXPECT_EQ(reloader_->state().name, "second");
}

TEST_F(PolicyReloaderTest, AChangedFileIsNoticed) {
  ASSERT_TRUE(reloader_->watches());
  Replace(PolicyNamed("renamed-over"));
  WaitForReport([](const ReloadState& state) { return state.name == "renamed-over"; });
  Write(PolicyNamed("written-over"));
  WaitForReport([](const ReloadState& state) { return state.name == "written-over"; });
  Write("nonsense");
  WaitForReport([](const ReloadState& state) { return !state.last.ok(); });
  EXPECT_EQ(reloader_->state().name, "written-over");
}

TEST_F(PolicyReloaderTest, ANewFileIsReadWhenItIsWhole) {
  std::remove(path_.c_str());
  std::ofstream slow(path_);
  // A policy in itself, but not yet what its writer means.
  slow << PolicyNamed("half") << std::flush;
  slow << "rules: [{name: home, when: {keyword: [secret]}, then: {route: near}}]\n";
  slow.close();
  const std::string whole = LoadPolicyFile(path_)->revision;
  WaitForReport([&](const ReloadState& state) { return state.revision == whole; });
  absl::MutexLock lock(&mutex_);
  for (const ReloadState& state : reports_) EXPECT_EQ(state.revision, whole);
}

// A second save begins right after a first one: what is there by then is its beginning.
TEST_F(PolicyReloaderTest, WhatASecondSaveHasBegunIsNotPutIntoForce) {
  Write(PolicyNamed("saved"));
  std::ofstream again(path_);  // which empties the file
  again << PolicyNamed("half") << std::flush;
  const ReloadState asked = RequestAndWait();
  EXPECT_NE(asked.name, "half");
  EXPECT_EQ(asked.last.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(std::string(asked.last.message()).find(path_), std::string::npos);
  again << "rules: [{name: home, when: {keyword: [secret]}, then: {route: near}}]\n";
  again.close();
  const std::string whole = LoadPolicyFile(path_)->revision;
  WaitForReport([&](const ReloadState& state) { return state.revision == whole; });
  EXPECT_TRUE(reloader_->state().last.ok());
  const std::string half = ParsePolicy(PolicyNamed("half"), "half")->revision;
  absl::MutexLock lock(&mutex_);
  for (const ReloadState& state : reports_) EXPECT_NE(state.revision, half);
}

TEST_F(PolicyReloaderTest, WhatChangedBeforeTheWatchBeganIsReadAtOnce) {
  reloader_.reset();
  const PolicyConfig old = *LoadPolicyFile(path_);
  Replace(PolicyNamed("second"));
  ReloaderOptions options;
  options.path = path_;
  options.apply = [](const PolicyConfig&) { return absl::OkStatus(); };
  absl::Notification told;
  options.report = [&](const ReloadState& state) {
    EXPECT_EQ(state.name, "second");
    told.Notify();
  };
  PolicyReloader late(options, old);
  told.WaitForNotification();
}

TEST_F(PolicyReloaderTest, OneReloadAnswersAllThatWait) {
  Replace(PolicyNamed("slow"));
  reloader_->Request();
  applying_.WaitForNotification();
  Replace(PolicyNamed("last"));
  std::vector<std::string> answers;  // written by the reloader's thread alone
  absl::Notification done;
  for (int i = 0; i < 50; ++i) {
    reloader_->Request([&](const ReloadState& state) {
      answers.push_back(state.name);
      if (answers.size() == 50) done.Notify();
    });
  }
  go_on_.Notify();
  done.WaitForNotification();
  EXPECT_EQ(answers, std::vector<std::string>(50, "last"));
  absl::MutexLock lock(&mutex_);
  EXPECT_LE(reports_.size(), 3u);  // the slow one, the one that they waited for, a watched change
}

TEST_F(PolicyReloaderTest, OtherFilesOfTheFolderAreNoReason) {
  std::ofstream(folder_.File("other.yaml")) << "x";
  std::ofstream(path_) << PolicyNamed("first");  // touched, the same bytes
  EXPECT_TRUE(RequestAndWait().last.ok());
  absl::MutexLock lock(&mutex_);
  for (const ReloadState& state : reports_) EXPECT_EQ(state.name, "first");
}

TEST_F(PolicyReloaderTest, EveryRequestIsAnsweredToTheEnd) {
  std::atomic<int> answers{0};
  for (int i = 0; i < 100; ++i) {
    reloader_->Request([&](const ReloadState&) { ++answers; });
  }
  reloader_.reset();
  EXPECT_EQ(answers.load(), 100);
}

}  // namespace
}  // namespace nearfar::daemon
