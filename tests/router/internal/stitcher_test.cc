// Holds router/internal/handover.h: the seam against sides that continue, echo, restart, begin with
// a preamble, go another way or say something else, in pieces of every size.

#include "router/internal/handover.h"

#include <gtest/gtest.h>

#include <random>

#include "router/internal/release.h"

namespace nearfar::internal {
namespace {

// What the app has after the seam, whatever the size of the pieces.
std::string Seam(Continuation side, const std::string& released, const std::string& said,
                 bool whole_words = true, bool complete = true) {
  const std::string prefix = PrefixFor(side, released, whole_words);
  std::string first;
  for (size_t size = 1; size <= said.size() + 1; size = size * 2 + 1) {
    Stitcher stitcher(side, released, prefix);
    std::string all = released;
    for (size_t at = 0; at < said.size(); at += size) all += stitcher.Add(said.substr(at, size));
    all += stitcher.Finish(complete);
    if (size == 1) first = all;
    EXPECT_EQ(all, first) << "pieces of " << size;
  }
  return first;
}

constexpr char kHad[] = "The capital of France is";

TEST(Stitcher, AContinuationPassesAsItIs) {
  for (Continuation side : {Continuation::kExact, Continuation::kInstructed}) {
    EXPECT_EQ(Seam(side, kHad, " Paris, on the Seine."),
              std::string(kHad) + " Paris, on the Seine.");
  }
}

TEST(Stitcher, AnInstructedSideMayForgetTheSpace) {
  EXPECT_EQ(Seam(Continuation::kInstructed, kHad, "Paris."), "The capital of France is Paris.");
  EXPECT_EQ(Seam(Continuation::kInstructed, kHad, ", as you know, Paris."),
            "The capital of France is, as you know, Paris.");
}

TEST(Stitcher, AnEchoIsDropped) {
  for (const char* echo :
       {"France is Paris.", "of France is Paris.", "capital of France is Paris."}) {
    EXPECT_EQ(Seam(Continuation::kInstructed, kHad, echo), "The capital of France is Paris.")
        << echo;
  }
}

TEST(Stitcher, ARestartIsDropped) {
  for (Continuation side : {Continuation::kExact, Continuation::kInstructed}) {
    EXPECT_EQ(Seam(side, kHad, "The capital of France is Paris."),
              "The capital of France is Paris.");
    EXPECT_EQ(Seam(side, kHad, "The  capital of\nfrance is Paris."),
              "The capital of France is Paris.");
  }
}

TEST(Stitcher, ARestartAfterAPreambleIsDropped) {
  EXPECT_EQ(
      Seam(Continuation::kInstructed, kHad, "Sure, here it is: The capital of France is Paris."),
      "The capital of France is Paris.");
}

TEST(Stitcher, ARestartThatEndsEarlyAddsNothing) {
  EXPECT_EQ(Seam(Continuation::kInstructed, kHad, "The capital of"), kHad);
  EXPECT_EQ(Seam(Continuation::kExact, kHad, "The capital of France is"), kHad);
}

TEST(Stitcher, ARestartThatGoesAnotherWayIsJoinedWhereItParts) {
  const std::string had = "The Amazon is the longest river in Africa";
  for (Continuation side : {Continuation::kExact, Continuation::kInstructed}) {
    EXPECT_EQ(Seam(side, had, "The Amazon is the longest river in South America."),
              had + " South America.")
        << "nothing that was said is said again";
  }
}

TEST(Stitcher, SomethingElsePassesWhole) {
  EXPECT_EQ(Seam(Continuation::kInstructed, kHad, "Paris is what the French call their capital."),
            std::string(kHad) + " Paris is what the French call their capital.");
}

TEST(Stitcher, ARepetitionThatIsMeantStays) {
  EXPECT_EQ(Seam(Continuation::kExact, "He sang la la la", " la la la and left."),
            "He sang la la la la la la and left.");
  EXPECT_EQ(Seam(Continuation::kInstructed, "I said that", " that is how it is."),
            "I said that that is how it is.");
}

TEST(Stitcher, AWordIsNotFoundInsideALongerOne) {
  EXPECT_EQ(Seam(Continuation::kInstructed, "It is a big cat", "a big category mistake."),
            "It is a big cat a big category mistake.");
}

TEST(Stitcher, HalfAWordIsGoneOnWith) {
  // What is released ends in mid-word; an instructed side was given it up to the word before.
  EXPECT_EQ(PrefixFor(Continuation::kInstructed, "The capi", false), "The");
  EXPECT_EQ(PrefixFor(Continuation::kExact, "The capi", false), "The capi");
  EXPECT_EQ(Seam(Continuation::kInstructed, "The capi", " capital is Paris.", false),
            "The capital is Paris.");
  EXPECT_EQ(Seam(Continuation::kExact, "The capi", "tal is Paris.", false),
            "The capital is Paris.");
}

TEST(Stitcher, SpaceThatIsOutIsNotDoubled) {
  EXPECT_EQ(Seam(Continuation::kInstructed, "One two ", " three", false), "One two three");
  EXPECT_EQ(Seam(Continuation::kInstructed, "One two ", "One two three", false), "One two three");
}

TEST(Stitcher, ScriptsWithoutSpacesGetNone) {
  const std::string had = "\xE6\xB3\x95\xE5\x9B\xBD\xE7\x9A\x84";  // "France's"
  const std::string next = "\xE9\xA6\x96\xE9\x83\xBD";             // "capital"
  EXPECT_EQ(Seam(Continuation::kInstructed, had, next), had + next);
  EXPECT_EQ(Seam(Continuation::kInstructed, had, had + next), had + next);
}

TEST(Stitcher, AFenceIsNotOpenedTwice) {
  const std::string had = "Here:\n```python\ndef f(x):";
  const std::string good = "Here:\n```python\ndef f(x):\n    return x\n```";
  EXPECT_EQ(Seam(Continuation::kInstructed, had, "\n    return x\n```"), good);
  EXPECT_EQ(Seam(Continuation::kExact, had, "\n    return x\n```"), good);
  EXPECT_EQ(Seam(Continuation::kInstructed, had, "```python\n    return x\n```"), good);
  EXPECT_EQ(Seam(Continuation::kInstructed, had, "```python\ndef f(x):\n    return x\n```"), good);
  EXPECT_EQ(Seam(Continuation::kInstructed, had, had + "\n    return x\n```"), good);
}

TEST(Stitcher, AFenceIsNotLeftOpen) {
  const std::string had = "Here:\n```python\ndef f(x):";
  EXPECT_EQ(Seam(Continuation::kExact, had, "\n    return x"), had + "\n    return x\n```");
  EXPECT_EQ(Seam(Continuation::kExact, had, "\n    return x", true, false), had + "\n    return x")
      << "cut by a limit: it may go on another time";
  const std::string fresh = "Let me explain. This is it:\n```python\nx = 1\n```\nDone.";
  const std::string all = Seam(Continuation::kInstructed, had, fresh);
  EXPECT_EQ(all, had + "\n```\n\n" + fresh);
  EXPECT_EQ(OpenFence(all), std::string::npos);
}

TEST(Stitcher, JsonIsGoneOnWithExactly) {
  const std::string had = "{\"name\": \"Ada\", \"born\":";
  const std::string good = "{\"name\": \"Ada\", \"born\": 1815}";
  EXPECT_EQ(Seam(Continuation::kExact, had, " 1815}"), good);
  EXPECT_EQ(Seam(Continuation::kExact, had, good), good);
}

TEST(Stitcher, ASideThatSaysNothingAddsNothing) {
  for (Continuation side : {Continuation::kExact, Continuation::kInstructed}) {
    EXPECT_EQ(Seam(side, kHad, ""), kHad);
    EXPECT_EQ(Seam(side, " " + std::string(kHad), " \n"), " " + std::string(kHad) + " \n");
  }
}

TEST(Stitcher, WithoutAnythingReleasedThereIsNoSeam) {
  EXPECT_EQ(Seam(Continuation::kInstructed, "", "The answer."), "The answer.");
}

// Documents of distinct words: wherever the cut, whatever a side repeats, the document comes out.
TEST(Stitcher, EveryCutOfEveryDocumentJoins) {
  std::mt19937 random(7);
  const std::vector<std::string> joints = {" ", " ", " ", "\n", ", ", ". ", "\n\n- "};
  for (int run = 0; run < 300; ++run) {
    std::string document = "w0";
    const int words = 6 + static_cast<int>(random() % 60);
    for (int i = 1; i < words; ++i) {
      document += joints[random() % joints.size()] + "w" + std::to_string(i * 37 + run);
    }
    const size_t cut = WordCut(document, 2 + random() % (document.size() - 2));
    if (cut == 0) continue;
    const std::string had = document.substr(0, cut);
    const std::string rest = document.substr(cut);
    const size_t back = had.find_last_of(" \n", had.size() > 14 ? had.size() - 14 : 0);
    const std::string echo = back == std::string::npos ? document : document.substr(back + 1);
    for (const std::string& said :
         {rest, document, echo, "Of course! Here you are:\n" + document}) {
      const bool short_restart = said.size() > document.size() && had.size() < 40;
      if (short_restart) continue;  // too short to be told from chance after a preamble
      EXPECT_EQ(Seam(Continuation::kInstructed, had, said), document) << said;
    }
    EXPECT_EQ(Seam(Continuation::kExact, had, rest), document);
    if (had.size() < 8) continue;  // too short to be told from a repetition that is meant
    EXPECT_EQ(Seam(Continuation::kExact, had, document), document);
  }
}

}  // namespace
}  // namespace nearfar::internal
