#include "local_engine/model/arch/architectures.h"

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "local_engine/model/model.h"
#include "tests/testing/tiny_model.h"

namespace nearfar {
namespace {

TEST(Architectures, NamesAreUnique) {
  std::set<std::string> names;
  for (const Architecture* architecture : AllArchitectures()) {
    EXPECT_TRUE(names.insert(architecture->name).second) << architecture->name;
  }
}

TEST(Architectures, EachIsFoundByItsNameAndLoadsATinyModel) {
  for (const Architecture* architecture : AllArchitectures()) {
    EXPECT_EQ(FindArchitecture(architecture->name).value(), architecture);
    const std::string path = testing::WriteTinyModel({.architecture = architecture->name});
    const auto model = LoadModel(path);
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ((*model)->config.architecture, architecture);
  }
}

TEST(Architectures, AnUnknownOneIsNamedBesideThoseThatAreKnown) {
  const auto found = FindArchitecture("mamba");
  EXPECT_EQ(found.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(found.status().message(), ::testing::HasSubstr("\"mamba\""));
  EXPECT_THAT(found.status().message(), ::testing::HasSubstr("llama, qwen2"));
}

}  // namespace
}  // namespace nearfar
