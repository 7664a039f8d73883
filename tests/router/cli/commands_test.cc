// The program as a whole: the list of commands, help, wrong use, and the commands that need neither
// a default model nor a far side.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "local_engine/base/thermometer.h"
#include "router/catalogue.h"
#include "router/cli/command.h"
#include "router/cli/exit_codes.h"
#include "router/decision_log.h"
#include "router/internal/sqlite.h"
#include "router/internal/taint_table.h"
#include "router/ledger.h"
#include "tests/router/cli/captured_terminal.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace nearfar::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> WordsOf(const CommandEntry& entry) {
  std::vector<std::string> words;
  if (*entry.group != '\0') words.push_back(entry.group);
  words.push_back(entry.name);
  return words;
}

class Commands : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("NEARFAR_STATE", state_.File("state").c_str(), 1);
    setenv("NEARFAR_MODELS", models_.path().c_str(), 1);
  }
  void TearDown() override {
    unsetenv("NEARFAR_STATE");
    unsetenv("NEARFAR_MODELS");
  }
  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(state_.File(name)) << text;
    return state_.File(name);
  }

  testing::TempDir state_, models_;
};

TEST_F(Commands, HaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (const CommandEntry& entry : AllCommands()) {
    EXPECT_TRUE(names.insert(absl::StrCat(entry.group, " ", entry.name)).second) << entry.name;
    EXPECT_STRNE(entry.summary, "");
  }
  EXPECT_GE(names.size(), 12U);
}

TEST_F(Commands, EachHelpsWithAnExample) {
  for (const CommandEntry& entry : AllCommands()) {
    std::vector<std::string> words = WordsOf(entry);
    words.push_back("--help");
    const ProgramRun run = RunNearfar(words);
    EXPECT_EQ(run.code, kExitOk) << entry.name;
    EXPECT_THAT(run.out, HasSubstr(entry.summary));
    EXPECT_THAT(run.out,
                HasSubstr(absl::StrCat(
                    "Usage: nearfar ",
                    absl::StrJoin(words, " ").substr(0, absl::StrJoin(words, " ").size() - 7))));
    EXPECT_THAT(run.out, HasSubstr(absl::StrCat("example:\n  ", entry.example)));
    EXPECT_EQ(run.err, "");
  }
}

TEST_F(Commands, EachRefusesAnUnknownOptionWithAHint) {
  for (const CommandEntry& entry : AllCommands()) {
    std::vector<std::string> words = WordsOf(entry);
    words.push_back("--no-such-option");
    const ProgramRun run = RunNearfar(words);
    EXPECT_EQ(run.code, kExitUsage) << entry.name;
    EXPECT_THAT(run.err, HasSubstr(absl::StrCat(entry.name, " --help)")));
    EXPECT_EQ(run.out, "");
  }
}

TEST_F(Commands, TheProgramItselfHelps) {
  const ProgramRun run = RunNearfar({"--help"});
  EXPECT_EQ(run.code, kExitOk);
  for (const char* word : {"ask", "chat", "generate", "policy", "models", "log", "doctor"}) {
    EXPECT_THAT(run.out, HasSubstr(word));
  }
  EXPECT_THAT(RunNearfar({"--version"}).out, HasSubstr("nearfar "));
}

TEST_F(Commands, WrongUseIsExit64) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"no-such-command"},
      {"policy"},
      {"policy", "no-such-command"},
      {"ask"},
      {"ask", ""},
      {"generate", " \n "},
      {"ask", "hi", "--max-tokens", "0"},
      {"ask", "hi", "--max-tokens", "many"},
      {"ask", "hi", "--route", "moon"},
      {"ask", "hi", "--min-confidence", "1.5"},
      {"ask", "hi", "--daemon", "unix:/x", "--policy", "balanced"},
      {"ask", "hi", "--ca", "ca.pem"},
      {"ask", "hi", "--explain", "--quiet"},
      {"generate", "hi", "--top-p", "0"},
      {"generate", "hi", "--raw", "--system", "x"},
      {"log", "show", "--limit", "0"},
      {"log", "stats", "--since", "yesterday"},
      {"models", "inspect"},
      {"policy", "reload"},
      {"policy", "reload", "--daemon", "/x", "--cert", "c.pem"},
      {"ask", "hi", "--kernels", "bogus"},
      {"ask", "hi", "--kv-type", "q4_0"},
      {"ask", "hi", "--max-tokens-per-second", "-1"},
      {"generate", "hi", "--max-temperature", "151"},
      {"chat", "--kernels", "bogus"},
      {"generate", "hi", "--kernels", "bogus"},
      {"generate", "hi", "--seed", "-1"},
      {"ask", "hi", "--max-cost", "abc"},
      {"ask", "hi", "there"},
  };
  for (const auto& words : wrong) {
    const ProgramRun run = RunNearfar(words);
    EXPECT_EQ(run.code, kExitUsage) << ::testing::PrintToString(words);
    EXPECT_THAT(run.err, HasSubstr("nearfar: "));
    EXPECT_EQ(run.out, "");
  }
}

TEST_F(Commands, AGroupTellsItsCommands) {
  EXPECT_THAT(
      RunNearfar({"policy", "chek"}).err,
      HasSubstr("policy needs one of: check, explain, show, reload (try: nearfar policy --help)"));
  EXPECT_THAT(RunNearfar({"chta"}).err,
              HasSubstr("nearfar needs one of: ask, chat, generate, policy"));
}

TEST_F(Commands, AWordThatIsNoCommandIsNamedWithWhatIsNearIt) {
  EXPECT_THAT(RunNearfar({"chta"}).err,
              HasSubstr("there is no command 'chta' (did you mean chat?); nearfar needs one of"));
  EXPECT_THAT(RunNearfar({"policy", "shwo"}).err, HasSubstr("(did you mean show?); policy needs"));
  EXPECT_THAT(RunNearfar({"frobnicate"}).err, HasSubstr("there is no command 'frobnicate'; "));
  const ProgramRun question = RunNearfar({"my secret is 4711"});
  EXPECT_THAT(question.err, HasSubstr("nearfar ask"));
  EXPECT_THAT(question.err, Not(HasSubstr("4711")));
}

TEST_F(Commands, ATextOfSeveralArgumentsIsToBeQuotedAndNotRepeated) {
  for (const char* command : {"ask", "generate"}) {
    const ProgramRun run = RunNearfar({command, "my", "secret", "is", "4711"});
    EXPECT_THAT(run.err, HasSubstr("put it in quotes"));
    EXPECT_THAT(run.err, Not(HasSubstr("4711")));
  }
}

TEST_F(Commands, WrongNumbersAreToldInAFewWords) {
  EXPECT_EQ(RunNearfar({"ask", "hi", "--max-cost", "abc"}).err,
            "nearfar: --max-cost: abc is no number >= 0 (try: nearfar ask --help)\n");
  EXPECT_THAT(RunNearfar({"generate", "hi", "--kernels", "bogus"}).err,
              HasSubstr("no kernels are named \"bogus\"; this build knows "));
}

// Without a near model the question would go far.
TEST_F(Commands, KernelsOfTheEnvironmentThatAreNoneAreRefused) {
  setenv("NEARFAR_KERNELS", "bogus", 1);
  const ProgramRun run = RunNearfar({"ask", "hi", "--explain"});
  unsetenv("NEARFAR_KERNELS");
  EXPECT_EQ(run.code, kExitConfig);
  EXPECT_THAT(run.err, HasSubstr("environment variable NEARFAR_KERNELS: no kernels are named"));
}

TEST_F(Commands, ATextThatIsNotUtf8IsExit65) {
  const std::string path = testing::WriteTinyModel({});
  for (const auto& words : {std::vector<std::string>{"generate", "caf\xE9", "--model", path},
                            {"ask", "caf\xE9", "--policy", "offline", "--model", path}}) {
    const ProgramRun run = RunNearfar(words);
    EXPECT_EQ(run.code, kExitData);
    EXPECT_THAT(run.err, HasSubstr("the text is not valid UTF-8"));
    EXPECT_THAT(run.err, Not(HasSubstr("messages[")));
  }
}

TEST_F(Commands, AnErrorNeverShowsThePrompt) {
  const ProgramRun run = RunNearfar({"generate", "my secret is 4711", "--model", "no-such-model"});
  EXPECT_EQ(run.code, kExitNoInput);
  EXPECT_THAT(run.err, Not(HasSubstr("4711")));
  EXPECT_THAT(run.err, HasSubstr("nearfar models list"));
}

TEST_F(Commands, AGroupHelpsWithAnExampleOfItsOwn) {
  EXPECT_THAT(RunNearfar({"models", "--help"}).out, HasSubstr("example:\n  nearfar models list"));
}

TEST_F(Commands, StopsMayBeRepeatedAndTheTextMayFollow) {
  const std::string path = testing::WriteTinyModel({});
  const ProgramRun run = RunNearfar({"generate", "--model", path, "--raw", "--max-tokens", "2",
                                     "--stop", "x", "--stop", "y", "abc"});
  EXPECT_EQ(run.code, kExitOk) << run.err;
}

TEST_F(Commands, WhatTheEngineRefusesIsSaidInFlags) {
  const std::string path = testing::WriteTinyModel({});
  const ProgramRun run = RunNearfar({"generate", "abc", "--model", path, "--context", "9999"});
  EXPECT_THAT(run.err, HasSubstr("--context: 9999 is outside [0, 512]"));
  EXPECT_THAT(run.err, Not(HasSubstr("EngineOptions")));
}

TEST_F(Commands, ALimitOfHeatIsKeptOrRefused) {
  const std::string path = testing::WriteTinyModel({});
  const ProgramRun run = RunNearfar({"generate", "--model", path, "--raw", "--max-tokens", "2",
                                     "--max-temperature", "150", "abc"});
  if (CpuCelsius().has_value()) {
    EXPECT_EQ(run.code, kExitOk) << run.err;
    return;
  }
  EXPECT_EQ(run.code, kExitUnavailable);
  EXPECT_THAT(run.err, HasSubstr("--max-temperature: no thermometer can be read"));
}

TEST_F(Commands, CollectTellsOfAFileThatCannotBeLookedAtOrWritten) {
  const std::string questions = Write(
      "q.jsonl", R"({"id": "a", "kind": "k", "level": 1, "template": "t", "question": "2 + 2?", )"
                 R"("answer": "4", "metric": "number"})"
                 "\n");
  const std::string circle = state_.File("circle");
  std::filesystem::create_symlink(circle, circle);  // leads nowhere, for root too
  const ProgramRun run =
      RunNearfar({"collect", "--questions", questions, "--near", "x", "--out", circle});
  EXPECT_EQ(run.code, kExitNoPermission);
  EXPECT_THAT(run.err, HasSubstr(absl::StrCat(circle, ": cannot be looked at")));
  const std::string nowhere = state_.File("no/such/folder");
  const ProgramRun unwritten = RunNearfar({"collect", "--questions", questions, "--near",
                                           testing::WriteTinyModel({}), "--out", nowhere});
  EXPECT_EQ(unwritten.code, kExitCantCreate);
  EXPECT_THAT(unwritten.err, HasSubstr(absl::StrCat(nowhere, ": cannot be written")));
}

TEST_F(Commands, AModelThatIsKnownButNotHereTellsHowToFetchIt) {
  const ProgramRun run = RunNearfar({"generate", "hi", "--model", "qwen2.5-coder-0.5b"});
  EXPECT_EQ(run.code, kExitNoInput);
  EXPECT_THAT(run.err, HasSubstr("scripts/models.sh qwen2.5-coder-0.5b-instruct-q4_k_m"));
}

TEST_F(Commands, NoModelAtAllTellsHowToFetchSome) {
  const ProgramRun run = RunNearfar({"generate", "hi"});
  EXPECT_EQ(run.code, kExitNoInput);
  EXPECT_THAT(run.err, HasSubstr("scripts/models.sh"));
}

TEST_F(Commands, AFileThatIsNoModelIsRefused) {
  const std::string path = Write("x.gguf", "this is no model");
  const ProgramRun run = RunNearfar({"models", "inspect", path});
  EXPECT_EQ(run.code, kExitData);
  EXPECT_THAT(run.err, HasSubstr(path));
  EXPECT_EQ(run.err.find(path), run.err.rfind(path)) << "named once";
  EXPECT_EQ(RunNearfar({"generate", "hi", "--model", path}).code, kExitData);
}

TEST_F(Commands, AFolderIsNoModel) {
  const ProgramRun run = RunNearfar({"generate", "hi", "--model", models_.path()});
  EXPECT_EQ(run.code, kExitNoInput);
  EXPECT_THAT(run.err, HasSubstr(absl::StrCat(models_.path(), ": is a folder")));
}

TEST_F(Commands, GenerateRunsATinyModel) {
  const std::string path = testing::WriteTinyModel({});
  const ProgramRun run =
      RunNearfar({"generate", "abc", "--model", path, "--raw", "--max-tokens", "4"});
  EXPECT_EQ(run.code, kExitOk) << run.err;
  EXPECT_THAT(run.err, HasSubstr("prompt tokens"));
  const ProgramRun quiet = RunNearfar(
      {"generate", "abc", "--model", path, "--raw", "--max-tokens", "4", "--quiet", "--greedy"});
  EXPECT_EQ(quiet.out, run.out);
  EXPECT_EQ(quiet.err, "");
}

TEST_F(Commands, GenerateTellsEveryTokenAsJson) {
  const std::string path = testing::WriteTinyModel({});
  const ProgramRun run =
      RunNearfar({"generate", "abc", "--model", path, "--raw", "--max-tokens", "3", "--json"});
  EXPECT_EQ(run.code, kExitOk) << run.err;
  for (const char* key : {"\"text\":", "\"logprob\":", "\"entropy\":", "\"margin\":",
                          "\"stop_reason\":", "\"prompt_tokens\":3", "_tiny\""}) {
    EXPECT_THAT(run.out, HasSubstr(key));
  }
}

TEST_F(Commands, InspectShowsWhatAFileHolds) {
  const std::string path = testing::WriteTinyModel({});
  const ProgramRun run = RunNearfar({"models", "inspect", path, "--tensors"});
  EXPECT_EQ(run.code, kExitOk) << run.err;
  EXPECT_THAT(run.out, HasSubstr("general.architecture"));
  EXPECT_THAT(run.out, HasSubstr("token_embd.weight"));
  EXPECT_THAT(run.out, HasSubstr("F32"));
  EXPECT_THAT(run.out, HasSubstr("fingerprint"));
  EXPECT_THAT(RunNearfar({"models", "inspect", path, "--json"}).out,
              HasSubstr("\"fingerprint\":\""));
}

TEST_F(Commands, ModelsListTellsWhatIsHere) {
  std::ofstream(models_.File("mine.gguf")) << "x";
  const ProgramRun run = RunNearfar({"models", "list"});
  EXPECT_EQ(run.code, kExitOk);
  EXPECT_THAT(run.out, HasSubstr("smollm2-135m-instruct-q4_1"));
  EXPECT_THAT(run.out, HasSubstr("not fetched"));
  EXPECT_THAT(run.out, HasSubstr("here, your own"));
  for (const auto line : absl::StrSplit(run.out, '\n')) EXPECT_LE(line.size(), 80U) << line;
}

TEST_F(Commands, VerifyFindsADamagedFile) {
  EXPECT_EQ(RunNearfar({"models", "verify"}).code, kExitNoInput);
  EXPECT_EQ(RunNearfar({"models", "verify", "smollm2-135m"}).code, kExitNoInput);
  std::ofstream(models_.File("smollm2-135m-instruct-q4_1.gguf")) << "short";
  const ProgramRun run = RunNearfar({"models", "verify"});
  EXPECT_EQ(run.code, kExitData);
  EXPECT_THAT(run.out, HasSubstr("BAD  smollm2-135m-instruct-q4_1  5 bytes instead of 98362432"));
}

TEST_F(Commands, VerifyHasNothingToCompareAStrangersFileWith) {
  const ProgramRun run = RunNearfar({"models", "verify", testing::WriteTinyModel({})});
  EXPECT_EQ(run.code, kExitUnavailable);
  EXPECT_THAT(run.out, HasSubstr("not in the catalogue: nothing to compare with"));
  EXPECT_THAT(run.out, Not(HasSubstr("BAD")));
}

TEST_F(Commands, TheCatalogueAgreesWithTheScript) {
  std::ifstream stream(absl::StrCat(NEARFAR_SOURCE_DIR, "/scripts/models.json"));
  const std::string json((std::istreambuf_iterator<char>(stream)), {});
  for (const CatalogueModel& model : AllModels()) {
    EXPECT_THAT(json, HasSubstr(absl::StrCat("\"name\": \"", model.name, "\"")));
    EXPECT_THAT(json, HasSubstr(absl::StrCat("\"file\": \"", model.file, "\"")));
    EXPECT_THAT(json, HasSubstr(absl::StrCat("\"bytes\": ", model.bytes, ",")));
    EXPECT_THAT(json, HasSubstr(model.sha256));
    EXPECT_THAT(json, HasSubstr(absl::StrCat("\"", model.aliases.front(), "\"")));
  }
}

TEST_F(Commands, PolicyCheckTakesThePresets) {
  const ProgramRun run =
      RunNearfar({"policy", "check", "balanced", "private", "frugal", "quality", "offline"});
  EXPECT_EQ(run.code, kExitOk) << run.out << run.err;
  EXPECT_THAT(run.out, HasSubstr("balanced: ok ("));
  EXPECT_THAT(run.out, Not(HasSubstr("warning")));
}

TEST_F(Commands, APolicyThatWeighsWithoutACalibrationIsWarnedOf) {
  const std::string policy =
      Write("mine.yaml",
            "schema_version: 1\nnear: {model: qwen2.5-coder-0.5b, when_unknown: draft}\n"
            "choose: {kind: net_value}\n");
  const std::string warning =
      "without near.calibration it always does near.when_unknown: draft (shipped: "
      "near.calibration: qwen2.5-coder-0.5b-instruct-q4_k_m.calibration.yaml)";
  const ProgramRun check = RunNearfar({"policy", "check", policy});
  EXPECT_EQ(check.code, kExitOk);
  EXPECT_THAT(check.out, HasSubstr(absl::StrCat("mine.yaml: warning: ", warning)));
  EXPECT_THAT(RunNearfar({"doctor", "--policy", policy}).out,
              HasSubstr(absl::StrCat("warn  calibration: ", warning)));
}

TEST_F(Commands, PolicyCheckTellsEveryMistakeOfEveryFile) {
  const std::string one = Write("one.yaml", "schema_version: 1\nnme: x\nchoose: {kind: dice}\n");
  const std::string two = Write("two.yaml", "name: [\n");
  const ProgramRun run = RunNearfar({"policy", "check", one, two, "/no/such/file.yaml"});
  EXPECT_EQ(run.code, kExitConfig);
  EXPECT_THAT(run.out, HasSubstr(absl::StrCat(one, ":2:1: ")));
  EXPECT_THAT(run.out, HasSubstr("choose.kind"));
  EXPECT_THAT(run.out, HasSubstr(two));
  EXPECT_THAT(run.out, HasSubstr("/no/such/file.yaml"));
}

TEST_F(Commands, PolicyShowPrintsAPresetThatChecks) {
  EXPECT_THAT(RunNearfar({"policy", "show"}).out, HasSubstr("balanced\n"));
  const ProgramRun shown = RunNearfar({"policy", "show", "offline"});
  EXPECT_EQ(shown.code, kExitOk);
  EXPECT_THAT(shown.out, HasSubstr("schema_version: 1"));
  EXPECT_EQ(RunNearfar({"policy", "show", "no-such-preset"}).code, kExitNoInput);
}

TEST_F(Commands, AskWithAWrongPolicyIsExit78) {
  const std::string bad = Write("bad.yaml", "nonsense: true\n");
  const ProgramRun run = RunNearfar({"ask", "hi", "--policy", bad});
  EXPECT_EQ(run.code, kExitConfig);
  EXPECT_THAT(run.err, HasSubstr("bad.yaml:1:1"));
  EXPECT_EQ(RunNearfar({"ask", "hi", "--policy", "no-such-preset"}).code, kExitNoInput);
}

TEST_F(Commands, AskAnswersWithATinyModelAndTheLogTellsOfIt) {
  const std::string path = testing::WriteTinyModel({});
  const ProgramRun run = RunNearfar(
      {"ask", "abc", "--policy", "offline", "--model", path, "--max-tokens", "4", "--json"});
  EXPECT_EQ(run.code, kExitOk) << run.err;
  EXPECT_THAT(run.out, HasSubstr("\"route\":\"near\""));
  EXPECT_THAT(run.out, HasSubstr("\"cost_usd\":0"));
  const ProgramRun shown = RunNearfar({"log", "show"});
  EXPECT_EQ(shown.code, kExitOk) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("near"));
  EXPECT_THAT(shown.out, Not(HasSubstr("abc")));
  EXPECT_THAT(RunNearfar({"log", "stats"}).out, HasSubstr("100 %"));
  EXPECT_THAT(RunNearfar({"log", "show", "--json"}).out, HasSubstr("{"));
}

TEST_F(Commands, AskGoesOnWithADamagedLogAndTellsOfIt) {
  const std::string path = testing::WriteTinyModel({});
  std::filesystem::create_directories(state_.File("state"));
  Write("state/decisions.db", std::string(5000, 'x'));
  const std::vector<std::string> ask = {"ask",     "abc", "--policy",     "offline",
                                        "--model", path,  "--max-tokens", "1"};
  const ProgramRun run = RunNearfar(ask);
  EXPECT_EQ(run.code, kExitOk) << run.err;
  EXPECT_THAT(run.err, HasSubstr("moved aside to"));
  EXPECT_THAT(RunNearfar({"log", "show"}).out, HasSubstr("near"));
  std::filesystem::remove(state_.File("state/decisions.db"));
  std::filesystem::create_directory(state_.File("state/decisions.db"));
  const ProgramRun without = RunNearfar(ask);
  EXPECT_EQ(without.code, kExitOk) << without.err;
  EXPECT_THAT(without.err, HasSubstr("no decision is logged"));
}

TEST_F(Commands, AskTellsOfARecordThatCouldNotBeWritten) {
  const std::string path = testing::WriteTinyModel({});
  std::filesystem::create_directories(state_.File("state"));
  auto log = internal::SqliteDb::Open(state_.File("state/decisions.db"));
  ASSERT_TRUE(log.ok()) << log.status();
  ASSERT_TRUE(log->Exec("CREATE TABLE decision(expires_ns INTEGER, time_ns INTEGER)").ok());
  const ProgramRun run =
      RunNearfar({"ask", "abc", "--policy", "offline", "--model", path, "--max-tokens", "1"});
  EXPECT_EQ(run.code, kExitOk) << run.err;
  EXPECT_THAT(run.err, HasSubstr("decision log: 1 record could not be written"));
}

TEST_F(Commands, ExplainRunsNoModelAndLeavesNoRecord) {
  const std::string path = testing::WriteTinyModel({});
  const ProgramRun run =
      RunNearfar({"ask", "abc", "--policy", "offline", "--model", path, "--explain"});
  EXPECT_EQ(run.code, kExitOk) << run.err;
  EXPECT_THAT(run.out, HasSubstr("route       near"));
  EXPECT_THAT(
      RunNearfar({"policy", "explain", "abc", "--policy", "offline", "--model", path, "--json"})
          .out,
      HasSubstr("\"route\":\"near\""));
  EXPECT_EQ(RunNearfar({"log", "show"}).code, kExitNoInput) << "not even a log was opened";
  EXPECT_FALSE(std::filesystem::exists(state_.File("state")));
}

// As beside a running nearfard, which owns the ledger.
TEST_F(Commands, WhatOnlyLooksNeedsNoLedgerOfItsOwn) {
  std::filesystem::create_directory(state_.File("state"));
  LedgerOptions options;
  options.path = state_.File("state/ledger.db");
  options.limit_usd = 1.0;
  options.window = absl::Minutes(1);
  const auto owner = Ledger::Open(options);
  ASSERT_TRUE(owner.ok()) << owner.status();
  const absl::Time end = Ledger::Look(options.path, absl::Now())->window_end;

  const std::string path = testing::WriteTinyModel({});
  EXPECT_EQ(RunNearfar({"ask", "abc", "--policy", "offline", "--model", path, "--explain"}).code,
            kExitOk);
  EXPECT_THAT(RunNearfar({"doctor", "--policy", "offline"}).out, HasSubstr("ok    budget: $"));
  EXPECT_EQ(Ledger::Look(options.path, absl::Now())->window_end, end);
}

constexpr char kAlwaysFar[] = R"(schema_version: 1
name: far
near: {model: mine}
far:
  - {name: home, protocol: nearfar, target: "dns:///127.0.0.1:9",
     price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}
choose: {kind: fixed, route: far}
budget: {limit_usd: 1}
)";

TEST_F(Commands, ExplainSeesWhatWasTaintedAndSpentBefore) {
  std::filesystem::create_directory(state_.File("state"));
  const auto files = [&] {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(state_.File("state"))) {
      names.insert(entry.path().filename().string());
    }
    return names;
  };
  const std::string policy = Write("far.yaml", kAlwaysFar), model = testing::WriteTinyModel({});
  const auto explain = [&](const std::string& session) {
    return RunNearfar({"ask", "abc", "--policy", policy, "--model", model, "--session", session,
                       "--explain", "--json"});
  };
  EXPECT_THAT(explain("alice").out, HasSubstr("\"reason\":\"fixed\"")) << explain("alice").err;
  EXPECT_EQ(files().size(), 0U);
  internal::TaintTable({.path = state_.File("state/taint.db")}).Add("alice");
  {
    const auto ledger = Ledger::Open({.path = state_.File("state/ledger.db"), .limit_usd = 1.0});
    ASSERT_TRUE(ledger.ok()) << ledger.status();
    ASSERT_TRUE((*ledger)->Reserve(0.25, "home").ok());
  }
  const auto before = files();
  EXPECT_THAT(explain("alice").out, HasSubstr("\"reason\":\"tainted\""));
  EXPECT_THAT(explain("bob").out, HasSubstr("\"reason\":\"fixed\""));
  EXPECT_THAT(RunNearfar({"doctor", "--policy", policy}).out,
              HasSubstr("ok    taint: 1 session stays on the device"));
  EXPECT_EQ(files(), before);

  // The last of the budget, by a process that still owns it.
  const auto ledger = Ledger::Open({.path = state_.File("state/ledger.db"), .limit_usd = 1.0});
  ASSERT_TRUE(ledger.ok()) << ledger.status();
  ASSERT_TRUE((*ledger)->Reserve(0.75, "home").ok());
  EXPECT_THAT(explain("bob").out, HasSubstr("\"reason\":\"budget_spent\""));
}

TEST_F(Commands, ExplainOfAFilesNameTellsWhereAPolicyIsNamed) {
  const std::string policy = Write("mine.yaml", "schema_version: 1\n");
  const std::string path = testing::WriteTinyModel({});
  const ProgramRun run =
      RunNearfar({"policy", "explain", policy, "--policy", "offline", "--model", path});
  EXPECT_EQ(run.code, kExitOk) << run.err;
  EXPECT_THAT(run.err, HasSubstr("nearfar policy explain --policy FILE TEXT"));
  EXPECT_EQ(
      RunNearfar({"policy", "explain", "no.yaml", "--policy", "offline", "--model", path}).err, "");
}

TEST_F(Commands, LogWithoutALogTellsWhereItLooked) {
  const ProgramRun run = RunNearfar({"log", "show"});
  EXPECT_EQ(run.code, kExitNoInput);
  EXPECT_THAT(run.err, HasSubstr(state_.File("state")));
}

TEST_F(Commands, AskOfADaemonThatIsNotThereIsExit69) {
  const ProgramRun run =
      RunNearfar({"ask", "hi", "--daemon", absl::StrCat("unix:", state_.File("no"))});
  EXPECT_EQ(run.code, kExitUnavailable);
  EXPECT_THAT(run.err, HasSubstr("cannot be reached"));
}

TEST_F(Commands, DoctorTellsWhatIsMissingAndWhatToDo) {
  const ProgramRun run = RunNearfar({"doctor", "--policy", "offline"});
  EXPECT_EQ(run.code, kExitUnavailable);
  EXPECT_THAT(run.out, HasSubstr("fail  models: none in"));
  EXPECT_THAT(run.out, HasSubstr("> scripts/models.sh"));
  EXPECT_THAT(run.out, HasSubstr("cpu: "));
  EXPECT_THAT(run.out, HasSubstr("ok    taint: 0 sessions stay on the device"));
  EXPECT_THAT(RunNearfar({"doctor", "--policy", "offline", "--json"}).out,
              HasSubstr("\"ok\":false"));
}

TEST_F(Commands, DoctorIsContentWithATinyModel) {
  const std::string path = models_.File("mine.gguf");
  std::filesystem::copy_file(testing::WriteTinyModel({}), path);
  const ProgramRun run = RunNearfar({"doctor", "--policy", "offline", "--model", path});
  EXPECT_EQ(run.code, kExitOk) << run.out;
  EXPECT_THAT(run.out, HasSubstr("near model: mine: llama"));
}

// State that cannot be kept: a file in the folder's place, and a folder of another user.
TEST_F(Commands, DoctorTellsOfAStateFolderThatCannotWork) {
  const std::string path = testing::WriteTinyModel({});
  for (const std::string& state : {Write("state", "no folder"), state_.File("state/below")}) {
    setenv("NEARFAR_STATE", state.c_str(), 1);
    const ProgramRun run = RunNearfar({"doctor", "--policy", "offline"});
    EXPECT_EQ(run.code, kExitUnavailable);
    EXPECT_THAT(run.out, HasSubstr(absl::StrCat("fail  state: ", state_.File("state"),
                                                ": is not a folder (NEARFAR_STATE chooses")));
    EXPECT_THAT(run.out, Not(HasSubstr("budget")));
    EXPECT_EQ(RunNearfar({"ask", "abc", "--policy", "offline", "--model", path}).code,
              kExitUnavailable);
  }
}

// Lives as a user who owns nothing, where the tests run as root; another one owns it all already.
class AsNobody {
 public:
  AsNobody() { (void)!seteuid(geteuid() == 0 ? 65534 : geteuid()); }
  ~AsNobody() { (void)!seteuid(getuid()); }
};

TEST_F(Commands, WhatThisUserMayNotReadIsExit77InItsOwnWords) {
  const std::string path = testing::WriteTinyModel({});
  const std::vector<std::string> ask = {"ask",     "abc", "--policy",     "offline",
                                        "--model", path,  "--max-tokens", "1"};
  ASSERT_EQ(RunNearfar(ask).code, kExitOk);
  std::filesystem::permissions(state_.path(), std::filesystem::perms{0755});
  const std::string state = state_.File("state");
  const auto close = [](const std::string& file, int mode) {
    std::filesystem::permissions(file, static_cast<std::filesystem::perms>(mode));
  };
  const auto expect_refusals = [&](const std::string& refused) {
    const AsNobody nobody;
    for (const auto& words : {ask, {"doctor", "--policy", "offline"}}) {
      const ProgramRun run = RunNearfar(words);
      EXPECT_EQ(run.code, words == ask ? kExitNoPermission : kExitUnavailable);
      EXPECT_THAT(run.err + run.out, HasSubstr(absl::StrCat(refused, ": this user may not")));
      EXPECT_THAT(run.err + run.out, Not(HasSubstr("nearfard")));
      EXPECT_THAT(run.err + run.out, Not(HasSubstr("budget")));
    }
    const ProgramRun log = RunNearfar({"log", "show"});
    EXPECT_EQ(log.code, kExitNoPermission);
    EXPECT_THAT(log.err, HasSubstr("the decision log cannot be read: Permission denied"));
  };
  close(state, 0);
  expect_refusals(state);
  close(state, 0777);
  for (const char* file : {"ledger.db", "decisions.db", "taint.db"}) {
    close(state_.File(absl::StrCat("state/", file)), 0);
  }
  expect_refusals(state + "/ledger.db");
}

// The binary itself: what a shell sees.
class Binary : public Commands {
 protected:
  // Of `nearfar ARGUMENTS`, which may redirect and be redirected.
  static int CodeOf(const std::string& before, const std::string& arguments) {
    return WEXITSTATUS(system(absl::StrCat(before, NEARFAR_PROGRAM, " ", arguments).c_str()));
  }
  const std::string model_ = testing::WriteTinyModel({});
};

constexpr char kQuiet[] = " >/dev/null 2>&1";

TEST_F(Binary, ReturnsTheCode) {
  EXPECT_EQ(CodeOf("", absl::StrCat("--version", kQuiet)), 0);
  EXPECT_EQ(CodeOf("", absl::StrCat("moon", kQuiet)), kExitUsage);
}

TEST_F(Binary, ChatFromAFileReturnsTheLastFailuresCode) {
  const std::string chat =
      absl::StrCat("chat --policy offline --max-tokens 3 --model ", model_, kQuiet);
  EXPECT_EQ(CodeOf("printf 'hi\\n/quit\\n' | ", chat), 0);
  EXPECT_EQ(CodeOf("printf 'hi\\n/dance\\nhi\\n' | ", chat), kExitUsage);
  EXPECT_EQ(CodeOf("printf 'not UTF-8: \\351\\nhi\\n/quit\\n' | ", chat), kExitData);
}

TEST_F(Binary, AFullDiskIsExit74) {
  for (const char* arguments : {"models list --json", "--help", "policy show offline"}) {
    EXPECT_EQ(CodeOf("", absl::StrCat(arguments, " >/dev/full 2>/dev/null")), kExitIo) << arguments;
  }
  const std::string with_model = absl::StrCat(" abc --model ", model_, " >/dev/full 2>/dev/null");
  EXPECT_EQ(CodeOf("", absl::StrCat("ask --policy offline", with_model)), kExitIo);
  EXPECT_EQ(CodeOf("", absl::StrCat("generate --raw", with_model)), kExitIo);
}

TEST_F(Binary, AReaderThatHasGoneEndsItInAnOrderlyWay) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  const std::string out = absl::StrCat(">&", ends[1], " 2>", state_.File("err"));
  EXPECT_EQ(CodeOf("", absl::StrCat("models list --json ", out)), kExitIo);
  EXPECT_EQ(std::filesystem::file_size(state_.File("err")), 0U);
  EXPECT_EQ(CodeOf("", absl::StrCat("ask abc --policy offline --model ", model_, " ", out)),
            kExitIo);
  close(ends[1]);
  EXPECT_THAT(RunNearfar({"log", "show"}).out, HasSubstr("near"));  // it was closed, not killed
}

// A person at a terminal: what comes is read until it holds what is waited for.
class Chat : public Binary {
 protected:
  void SetUp() override {
    Binary::SetUp();
    const std::string path = testing::WriteTinyModel({.layers = 8, .context = 1 << 16});
    child_ = forkpty(&terminal_, nullptr, nullptr, nullptr);
    if (child_ == 0) {
      execl(NEARFAR_PROGRAM, "nearfar", "chat", "--policy", "offline", "--max-tokens", "60000",
            "--temperature", "1", "--model", path.c_str(), nullptr);
      _exit(127);
    }
    ASSERT_GT(child_, 0);
    model_path_ = path;
  }
  void TearDown() override {
    close(terminal_);
    Binary::TearDown();
  }
  void Type(const std::string& keys) const {
    EXPECT_EQ(write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  // What came up to the end of `awaited`, which a terminal's line ends (CR LF) may split.
  std::string ReadTo(const std::string& awaited) {
    std::string seen;
    char byte = 0;
    while (!absl::EndsWith(seen, awaited) && read(terminal_, &byte, 1) == 1) {
      if (byte != '\r') seen += byte;
    }
    EXPECT_TRUE(absl::EndsWith(seen, awaited)) << seen;
    return seen;
  }

  pid_t child_ = -1;
  int terminal_ = -1;
  std::string model_path_;
};

constexpr char kCtrlC[] = "\x03";

TEST_F(Chat, SaysWhoAnswersAndWhatCtrlCDoes) {
  EXPECT_THAT(ReadTo("> "), HasSubstr("policy offline, near model " + model_path_ + "; /help"));
  Type(kCtrlC);
  ReadTo("/quit or Ctrl-D ends\n> ");
  Type("hi\n");
  ReadTo("hi\n");
  char byte = 0;  // of an answer that has begun
  ASSERT_EQ(read(terminal_, &byte, 1), 1);
  Type(kCtrlC);
  ReadTo("(stopped; this turn is forgotten)\n> ");
  Type("/quit\n");
  int status = 0;
  ASSERT_EQ(waitpid(child_, &status, 0), child_);
  EXPECT_EQ(WEXITSTATUS(status), kExitOk);
}

// A signal that waits from before the program's first step, as one that comes while it loads.
TEST_F(Binary, CtrlCDuringTheLoadStopsTheAnswer) {
  const std::string path = testing::WriteTinyModel({.layers = 8, .context = 1 << 16});
  const pid_t child = fork();
  if (child == 0) {
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, nullptr);
    kill(getpid(), SIGINT);
    const int nothing = open("/dev/null", O_WRONLY);
    dup2(nothing, STDOUT_FILENO);
    dup2(nothing, STDERR_FILENO);
    execl(NEARFAR_PROGRAM, "nearfar", "generate", "abc", "--raw", "--max-tokens", "60000",
          "--model", path.c_str(), nullptr);
    _exit(127);
  }
  ASSERT_GT(child, 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), kExitInterrupted);
}

}  // namespace
}  // namespace nearfar::cli
