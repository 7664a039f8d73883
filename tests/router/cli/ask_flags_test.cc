// Holds router/cli/ask_flags.h: the ranges of the flags.

#include "router/cli/ask_flags.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <string>

#include "local_engine/sampling_options.h"

namespace nearfar::cli {
namespace {

bool Takes(const std::string& arguments) {
  CLI::App app;
  SamplingFlags flags;
  flags.Declare(&app);
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError&) {
    return false;
  }
  return true;
}

TEST(SamplingFlags, ThePenaltysRangeIsTheEngines) {
  EXPECT_EQ(kLeastRepetitionPenalty, 0.01F);
  EXPECT_EQ(kMostRepetitionPenalty, 100.0F);
  for (const char* inside : {"0.01", "1.1", "100"}) {
    EXPECT_TRUE(Takes(std::string("--repetition-penalty ") + inside)) << inside;
  }
  for (const char* outside : {"0", "0.0099", "100.1", "1e-38", "-1"}) {
    EXPECT_FALSE(Takes(std::string("--repetition-penalty ") + outside)) << outside;
  }
}

TEST(SamplingFlags, ASeedIsNoNegativeNumber) {
  EXPECT_TRUE(Takes("--seed 0"));
  EXPECT_TRUE(Takes("--seed 18446744073709551615"));
  for (const char* outside : {"-1", "18446744073709551616", "1.5", "abc"}) {
    EXPECT_FALSE(Takes(std::string("--seed ") + outside)) << outside;
  }
}

}  // namespace
}  // namespace nearfar::cli
