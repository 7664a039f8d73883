// Holds router/decision_log.h: what is kept, what is never kept, for how long, and by whom
// readable.

#include "router/decision_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/testing/fake_clock.h"
#include "tests/testing/temp_dir.h"

namespace nearfar {
namespace {

using testing::FakeClock;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::TempDir;

class DecisionLogTest : public ::testing::Test {
 protected:
  std::unique_ptr<DecisionLog> MustOpen() {
    auto log = DecisionLog::Open({.path = path_, .clock = clock_.function()});
    EXPECT_TRUE(log.ok()) << log.status();
    return *std::move(log);
  }
  DecisionRecord Record(const std::string& id) {
    DecisionRecord record;
    record.request_id = id;
    record.time = clock_.Now();
    record.policy_name = "balanced";
    record.signals.prompt.bytes = 42;
    record.signals.prompt.hashed = {{123457u, 1.5f}};
    record.signals.prompt.findings.pii = static_cast<PiiSet>(Pii::kIban);
    record.signals.far.push_back({.name = "home"});
    Decision before{.route = Route::kDraft, .reason = Reason::kCascade};
    before.terms.push_back({"p_near", 0.25, "probability"});
    Decision after{.route = Route::kFar, .target = "home", .reason = Reason::kDraftRejected};
    record.decisions = {before, after};
    record.outcome = "finished";
    record.source = "home";
    record.confidence = 0.25;
    record.cost_usd = 0.0125;
    record.near_tokens = 7;
    record.far_tokens = 9;
    record.egress_bytes = 42;
    record.prompt_text = "my secret question";
    record.answer_text = "my secret answer";
    return record;
  }
  std::string AllBytes() {
    std::stringstream bytes;
    for (const char* side : {"", "-wal"}) {
      std::ifstream file(path_ + side, std::ios::binary);
      bytes << file.rdbuf();
    }
    return bytes.str();
  }

  TempDir dir_;
  FakeClock clock_;
  const std::string path_ = dir_.File("decisions.db");
};

TEST_F(DecisionLogTest, KeepsWhatWasDecidedNewestFirst) {
  auto log = MustOpen();
  for (const char* id : {"a", "b", "c"}) {
    ASSERT_TRUE(log->Append(Record(id), false, absl::Hours(1)).ok());
    clock_.Advance(absl::Seconds(1));
  }
  auto rows = log->Read(2);
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 2u);
  const LogRow& row = rows->front();
  EXPECT_EQ(row.request_id, "c");
  EXPECT_EQ(row.route, "far");
  EXPECT_EQ(row.target, "home");
  EXPECT_EQ(row.reason, "draft_rejected");
  EXPECT_EQ(row.outcome, "finished");
  EXPECT_EQ(row.confidence, 0.25);
  EXPECT_DOUBLE_EQ(row.cost_usd, 0.0125);
  EXPECT_EQ(row.near_tokens, 7);
  EXPECT_EQ(row.far_tokens, 9);
  EXPECT_EQ(row.egress_bytes, 42);
  auto older = log->Read(10, rows->back().row);
  ASSERT_EQ(older->size(), 1u);
  EXPECT_EQ(older->front().request_id, "a");
  EXPECT_EQ(log->ReadSince(clock_.Now() - absl::Milliseconds(1500))->size(), 1u);
}

TEST_F(DecisionLogTest, TheRecordHasTheNumbersThatWereWeighed) {
  auto log = MustOpen();
  ASSERT_TRUE(log->Append(Record("a"), false, absl::Hours(1)).ok());
  std::string json = log->Read(1)->front().record_json;
  EXPECT_THAT(json, HasSubstr(R"({"name":"p_near","value":0.25,"unit":"probability"})"));
  EXPECT_THAT(json, HasSubstr(R"("pii":["iban"])"));
  EXPECT_THAT(json, HasSubstr(R"("route":"draft")"));
  EXPECT_THAT(json, HasSubstr(R"("name":"home")"));
}

TEST_F(DecisionLogTest, NoTextReachesTheFileUnlessThePolicyKeepsIt) {
  {
    auto log = MustOpen();
    ASSERT_TRUE(log->Append(Record("a"), false, absl::Hours(1)).ok());
    EXPECT_THAT(AllBytes(), Not(HasSubstr("secret")));
    EXPECT_THAT(AllBytes(), Not(HasSubstr("123457"))) << "n-gram hashes count as text";
  }
  EXPECT_THAT(AllBytes(), Not(HasSubstr("secret")));
  auto log = MustOpen();
  ASSERT_TRUE(log->Append(Record("b"), true, absl::Hours(1)).ok());
  std::string json = log->Read(1)->front().record_json;
  EXPECT_THAT(json, HasSubstr("my secret question"));
  EXPECT_THAT(json, HasSubstr("my secret answer"));
  EXPECT_THAT(json, HasSubstr("[[123457,1.5]]"));
}

TEST_F(DecisionLogTest, ExpiredRecordsAreDeleted) {
  auto log = MustOpen();
  ASSERT_TRUE(log->Append(Record("old"), true, absl::Hours(1)).ok());
  clock_.Advance(absl::Hours(1));
  ASSERT_TRUE(log->Append(Record("new"), false, absl::Hours(1)).ok());
  auto rows = log->Read(10);
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ(rows->front().request_id, "new");
}

TEST_F(DecisionLogTest, TheFileIsPrivate) {
  auto log = MustOpen();
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(DecisionLogTest, AReaderBesideTheWriterSeesItsRecords) {
  auto log = MustOpen();
  auto reader = DecisionLog::OpenReadOnly(path_);
  ASSERT_TRUE(reader.ok()) << reader.status();
  ASSERT_TRUE(log->Append(Record("a"), false, absl::Hours(1)).ok());
  EXPECT_EQ((*reader)->Read(10)->size(), 1u);
  EXPECT_FALSE((*reader)->Append(Record("b"), false, absl::Hours(1)).ok());
  EXPECT_EQ((*reader)->failed_writes(), 1);
}

TEST_F(DecisionLogTest, AMissingFileIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(DecisionLog::OpenReadOnly(dir_.File("none.db")).status()));
}

TEST_F(DecisionLogTest, ADamagedFileIsKeptAsideAndANewLogBegins) {
  std::ofstream(path_) << std::string(5000, 'x');
  EXPECT_TRUE(absl::IsDataLoss(DecisionLog::OpenReadOnly(path_).status()));
  auto log = MustOpen();
  ASSERT_TRUE(log->Append(Record("a"), false, absl::Hours(1)).ok());
  EXPECT_EQ(log->Read(10)->size(), 1u);
  const std::string aside = path_ + ".damaged-" + std::to_string(absl::ToUnixSeconds(clock_.Now()));
  EXPECT_THAT(log->warning(), HasSubstr(aside));
  std::stringstream kept;
  kept << std::ifstream(aside).rdbuf();
  EXPECT_EQ(kept.str(), std::string(5000, 'x'));
}

TEST_F(DecisionLogTest, WhatWasMovedAsideIsKeptNoLongerThanItsRecords) {
  const auto leave = [&](const std::string& name, absl::Duration age) {
    std::ofstream(dir_.File(name)) << "my secret question";
    const timespec then = absl::ToTimespec(clock_.Now() - age);
    const timespec times[2] = {then, then};
    ASSERT_EQ(utimensat(AT_FDCWD, dir_.File(name).c_str(), times, 0), 0);
  };
  const auto is_there = [&](const char* name) { return std::filesystem::exists(dir_.File(name)); };
  leave("decisions.db.damaged-1", absl::Hours(25));
  leave("decisions.db.damaged-1-wal", absl::Hours(25));
  leave("decisions.db.damaged-2", absl::Hours(23));
  leave("ledger.db.damaged-1", absl::Hours(25));
  auto log =
      DecisionLog::Open({.path = path_, .keep = absl::Hours(24), .clock = clock_.function()});
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_FALSE(is_there("decisions.db.damaged-1"));
  EXPECT_FALSE(is_there("decisions.db.damaged-1-wal"));
  EXPECT_TRUE(is_there("decisions.db.damaged-2"));
  EXPECT_TRUE(is_there("ledger.db.damaged-1")) << "not ours";
  EXPECT_TRUE(is_there("decisions.db"));
}

TEST_F(DecisionLogTest, AFolderThatCannotBeWrittenIsUnavailable) {
  auto log = DecisionLog::Open({.path = dir_.File("none/decisions.db")});
  EXPECT_TRUE(absl::IsUnavailable(log.status())) << log.status();
  EXPECT_EQ(MustOpen()->warning(), "");
}

TEST_F(DecisionLogTest, AFailedWriteIsCounted) {
  auto log = MustOpen();
  ASSERT_TRUE(log->Append(Record("a"), false, absl::Hours(1)).ok());
  rlimit old;
  getrlimit(RLIMIT_FSIZE, &old);
  auto handler = signal(SIGXFSZ, SIG_IGN);
  rlimit none = {0, old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &none);
  absl::Status written = log->Append(Record("b"), false, absl::Hours(1));
  setrlimit(RLIMIT_FSIZE, &old);
  signal(SIGXFSZ, handler);
  EXPECT_TRUE(absl::IsUnavailable(written)) << written;
  EXPECT_EQ(log->failed_writes(), 1);
  EXPECT_EQ(log->Read(10)->size(), 1u);
}

TEST_F(DecisionLogTest, NumbersThatAreNoneAndTextThatIsNoneStayValidJson) {
  auto log = MustOpen();
  DecisionRecord record = Record("\xff\"\n");
  record.decisions.back().score = std::nan("");
  ASSERT_TRUE(log->Append(record, false, absl::Hours(1)).ok());
  std::string json = log->Read(1)->front().record_json;
  EXPECT_THAT(json, HasSubstr("\"request_id\":\"\xEF\xBF\xBD\\\"\\u000a\""));
  EXPECT_THAT(json, HasSubstr("\"score\":null"));
}

}  // namespace
}  // namespace nearfar
