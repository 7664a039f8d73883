// Handovers through the whole router: every release mode, against far sides that continue, echo,
// restart and paraphrase, declared exact, instructed or without continuation; prose, code and JSON.
// What is asserted each time: streamed text equals final text (testing::EventRecorder), nothing of
// the golden answer is repeated or missing, fences are closed and JSON parses.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "router/internal/release.h"
#include "tests/testing/router_bench.h"

namespace nearfar {
namespace {

using testing::EventRecorder;
using testing::FakeCall;

enum class Behaviour { kContinue, kEcho, kRestart, kParaphrase };

const char* Name(Behaviour behaviour) {
  switch (behaviour) {
    case Behaviour::kContinue:
      return "Continue";
    case Behaviour::kEcho:
      return "Echo";
    case Behaviour::kRestart:
      return "Restart";
    case Behaviour::kParaphrase:
      return "Paraphrase";
  }
  return "";
}

constexpr char kProse[] =
    "Water boils at one hundred degrees at sea level, because there its vapour pressure equals the "
    "pressure of the air. On a mountain it boils sooner.";
constexpr char kProseOtherwise[] =
    "Sea level is where liquid turns to gas at 373 kelvin; higher up less heat is needed for that.";
constexpr char kCode[] =
    "This adds two numbers:\n```python\ndef add(a, b):\n    return a + b\n```\nCall it as you "
    "like.";
constexpr char kCodeOtherwise[] =
    "Let me write it as a lambda instead.\n```python\nadd = lambda x, y: x + y\n```\nThat is all.";
constexpr char kJson[] = "{\"city\": \"Paris\", \"country\": \"France\", \"people\": 2100000}";
constexpr char kJsonOtherwise[] =
    "{ \"people\": 2100000, \"city\": \"Paris\", \"country\": \"France\" }";

// What a side of this behaviour sends that is to go on after `prefix`.
std::string Said(Behaviour behaviour, const std::string& golden, const std::string& otherwise,
                 const std::string& prefix) {
  if (prefix.empty() || behaviour == Behaviour::kRestart) return golden;
  if (behaviour == Behaviour::kParaphrase) return otherwise;
  if (behaviour == Behaviour::kContinue) return golden.substr(prefix.size());
  size_t from = prefix.size() > 20 ? prefix.rfind(' ', prefix.size() - 12) : std::string::npos;
  return golden.substr(from == std::string::npos ? 0 : from + 1);
}

bool IsBalancedJson(const std::string& text) {
  int depth = 0, documents = 0;
  bool quoted = false;
  for (char c : text) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '{') documents += depth++ == 0;
    if (c == '}') --depth;
    if (depth < 0) return false;
  }
  return depth == 0 && documents == 1 && !quoted;
}

using Param = std::tuple<Release, Continuation, Behaviour, bool /*early exit*/, bool /*retract*/>;

class Handover : public testing::RouterBench, public ::testing::WithParamInterface<Param> {
 protected:
  // Near drafts the golden text up to two thirds (or to its end), far takes over where it may.
  std::shared_ptr<EventRecorder> Run(const std::string& golden, const std::string& otherwise,
                                     ResponseFormat format) {
    const auto [release, continuation, behaviour, early, retract] = GetParam();
    far().description.capabilities.continuation = continuation;
    policy->settings.stream.release = release;
    policy->settings.stream.on_handover = retract ? OnHandover::kRetract : OnHandover::kAppend;
    policy->settings.draft.hold_back_tokens = 3;
    policy->accept = [](const Signals&) { return 0.95; };
    const size_t end = golden.rfind(' ', golden.size() * 2 / 3);
    const std::string begun = golden.substr(0, end);
    if (early) {
      ExitAfter(static_cast<int>(std::count(begun.begin(), begun.end(), ' ')));
    } else {
      RejectDrafts();
    }
    far().script = [&, behaviour = behaviour](FakeCall& call) {
      prefix = call.request().assistant_prefix;
      EXPECT_EQ(released_before, call.request().assistant_prefix) << "all that is out, no more";
      call.SayWords(Said(behaviour, golden, otherwise, prefix)).Finish();
    };
    released_before.clear();
    const int calls_before = far().calls();
    auto events = std::make_shared<EventRecorder>();
    Query query = Ask("q");
    query.format = format;
    query.options.allow_retract = retract;
    events->on_delta = [&, retract = retract](const std::string& text) {
      if (far().calls() == calls_before && !retract) released_before += text;
    };
    call = router().Start(query, events);
    near->last().SayWords(begun);
    if (!near->last().cancelled()) near->last().SayWords(golden.substr(end)).Finish();
    EXPECT_TRUE(events->finished());
    return events;
  }

  std::string prefix, released_before;
};

std::string ParamName(const ::testing::TestParamInfo<Param>& info) {
  static const char* kReleases[] = {"Judged", "Confident", "Immediate"};
  static const char* kContinuations[] = {"Exact", "Instructed", "None"};
  const auto [release, continuation, behaviour, early, retract] = info.param;
  return std::string(kReleases[static_cast<int>(release)]) +
         kContinuations[static_cast<int>(continuation)] + Name(behaviour) +
         (early ? "Early" : "Late") + (retract ? "Retract" : "Append");
}

// Every combination that there can be: an exact side has no words of its own to echo or to say the
// same with.
std::vector<Param> AllParams() {
  std::vector<Param> params;
  for (Release release : {Release::kJudged, Release::kConfident, Release::kImmediate}) {
    for (Continuation side :
         {Continuation::kExact, Continuation::kInstructed, Continuation::kNone}) {
      for (Behaviour behaviour :
           {Behaviour::kContinue, Behaviour::kEcho, Behaviour::kRestart, Behaviour::kParaphrase}) {
        const bool own_words = behaviour == Behaviour::kEcho || behaviour == Behaviour::kParaphrase;
        if (side == Continuation::kExact && own_words) continue;
        for (bool early : {false, true}) {
          for (bool retract : {false, true}) {
            params.emplace_back(release, side, behaviour, early, retract);
          }
        }
      }
    }
  }
  return params;
}

INSTANTIATE_TEST_SUITE_P(All, Handover, ::testing::ValuesIn(AllParams()), ParamName);

TEST_P(Handover, ProseIsWholeAndSaidOnce) {
  auto events = Run(kProse, kProseOtherwise, ResponseFormat::kText);
  const Behaviour behaviour = std::get<2>(GetParam());
  const std::string text = events->finished()->text;
  if (far().calls() == 0 || prefix.empty() || behaviour != Behaviour::kParaphrase) {
    EXPECT_EQ(text, kProse);
    return;
  }
  EXPECT_EQ(text, prefix + " " + kProseOtherwise) << "both whole, one space between";
}

TEST_P(Handover, CodeFencesAreOpenedAndClosedInPairs) {
  auto events = Run(kCode, kCodeOtherwise, ResponseFormat::kText);
  const Behaviour behaviour = std::get<2>(GetParam());
  const std::string text = events->finished()->text;
  EXPECT_EQ(internal::OpenFence(text), std::string::npos) << text;
  if (far().calls() == 0 || prefix.empty() || behaviour != Behaviour::kParaphrase) {
    EXPECT_EQ(text, kCode);
    return;
  }
  EXPECT_EQ(text.rfind(prefix, 0), 0u);
  EXPECT_NE(text.find(kCodeOtherwise), std::string::npos) << text;
}

TEST_P(Handover, JsonStaysOneDocument) {
  for (ResponseFormat format : {ResponseFormat::kJson, ResponseFormat::kText}) {
    auto events = Run(kJson, kJsonOtherwise, format);
    EXPECT_TRUE(IsBalancedJson(events->finished()->text)) << events->finished()->text;
    if (far().calls() > 0 && std::get<2>(GetParam()) != Behaviour::kParaphrase) {
      EXPECT_EQ(events->finished()->text, kJson);
    }
  }
}

TEST_P(Handover, TheModeIsKept) {
  const auto [release, continuation, behaviour, early, retract] = GetParam();
  auto events = Run(kProse, kProseOtherwise, ResponseFormat::kText);
  const bool judged =
      release == Release::kJudged || (continuation == Continuation::kNone && !retract);
  if (judged) {
    EXPECT_EQ(prefix, "");
    EXPECT_EQ(released_before, "") << "nothing before the draft is accepted";
    EXPECT_EQ(events->retracts(), 0);
    EXPECT_EQ(events->finished()->source, "home");
    return;
  }
  EXPECT_EQ(events->retracts(), retract ? 1 : 0);
  if (release == Release::kImmediate && !early && !retract) {
    EXPECT_EQ(far().calls(), 0) << "everything is out: the last judgement can only flag";
    EXPECT_TRUE(events->finished()->flagged);
    EXPECT_EQ(events->finished()->flag_reason, "released");
    return;
  }
  EXPECT_EQ(events->finished()->source, "home");
  if (!retract) {
    EXPECT_NE(prefix, "");
    EXPECT_NE(prefix.back(), ' ') << "cut at the end of a word";
  }
}

// --- single cases --------------------------------------------------------------------------------

class HandoverCase : public testing::RouterBench {};

TEST_F(HandoverCase, ConfidentReleasesOnlyOnceAcceptanceIsLikely) {
  RejectDrafts();
  policy->settings.stream.release = Release::kConfident;
  policy->settings.stream.release_at = 0.9;
  double likely = 0.5;
  policy->accept = [&](const Signals&) { return likely; };
  auto events = Start(Ask("q"));
  near->last().SayWords("one two three four");
  EXPECT_EQ(events->text(), "");
  likely = 0.95;
  near->last().Say(" five");
  EXPECT_EQ(events->text(), "one two three") << "two tokens held back";
  call->Cancel();
}

TEST_F(HandoverCase, UnknownAcceptanceReleasesNothing) {
  RejectDrafts();
  policy->settings.stream.release = Release::kConfident;
  auto events = Start(Ask("q"));
  near->last().SayWords("one two three four five");
  EXPECT_EQ(events->text(), "");
  call->Cancel();
}

TEST_F(HandoverCase, FarIsReservedForThePrefixToo) {
  limit_usd = 1.0;
  ExitAfter(6);
  policy->settings.stream.release = Release::kConfident;
  policy->accept = [](const Signals&) { return 1.0; };
  auto events = Start(Ask("q"));
  near->last().SayWords("one two three four five six");
  const std::string prefix = far().last().request().assistant_prefix;
  EXPECT_EQ(prefix, "one two three");
  far().last().Say(" 4 5 6").Finish();
  EXPECT_EQ(events->finished()->text, "one two three 4 5 6");
  EXPECT_EQ(Records()[0].egress_bytes, 1 + static_cast<int64_t>(prefix.size()));
}

TEST_F(HandoverCase, AFailedHandoverGoesBackToTheDraft) {
  ExitAfter(6);
  policy->settings.stream.release = Release::kConfident;
  policy->accept = [](const Signals&) { return 1.0; };
  auto events = Start(Ask("q"));
  near->last().SayWords("one two three four five six");
  far().last().Fail(absl::UnavailableError("x"));
  EXPECT_EQ(near->last().request().assistant_prefix, "one two three four five six");
  near->last().Say(" seven").Finish();
  EXPECT_EQ(events->finished()->text, "one two three four five six seven");
  EXPECT_EQ(events->finished()->flag_reason, "far_failed");
}

TEST_F(HandoverCase, AFarThatBreaksAfterTheSeamIsContinuedByNear) {
  ExitAfter(6);
  policy->settings.stream.release = Release::kConfident;
  policy->accept = [](const Signals&) { return 1.0; };
  auto events = Start(Ask("q"));
  near->last().SayWords("one two three four five six");
  far().last().Say(" 4 5");
  far().last().Fail(absl::UnavailableError("reset"), ErrorKind::kUnavailable, true);
  EXPECT_EQ(near->last().request().assistant_prefix, "one two three 4 5");
  near->last().Say(" 6").Finish();
  EXPECT_EQ(events->finished()->text, "one two three 4 5 6");
  EXPECT_EQ(events->finished()->source, "near");
}

TEST_F(HandoverCase, ARetractionGivesTheDraftUpAndAFailureBringsItBack) {
  ExitAfter(6);
  policy->settings.stream.release = Release::kImmediate;
  policy->settings.stream.on_handover = OnHandover::kRetract;
  Query query = Ask("q");
  query.options.allow_retract = true;
  auto events = Start(query);
  near->last().SayWords("one two three four five six");
  EXPECT_EQ(events->retracts(), 1);
  EXPECT_EQ(events->text(), "");
  EXPECT_EQ(far().last().request().assistant_prefix, "");
  far().last().Fail(absl::UnavailableError("x"));
  near->last().Say(" seven").Finish();
  EXPECT_EQ(events->finished()->text, "one two three four five six seven");
}

}  // namespace
}  // namespace nearfar
