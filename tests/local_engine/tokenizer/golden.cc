#include "tests/local_engine/tokenizer/golden.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace nearfar::testing {
namespace {

// Where the value of "name" begins, or npos.
size_t ValueOf(std::string_view line, std::string_view name) {
  const std::string key = "\"" + std::string(name) + "\":";
  const size_t at = line.find(key);
  EXPECT_NE(at, std::string_view::npos) << name << " is not in " << line.substr(0, 80);
  return at == std::string_view::npos ? line.size() : at + key.size();
}

// Tests change no environment while this reads it.
std::filesystem::path ModelFolder() {
  if (const char* folder = std::getenv("NEARFAR_MODELS"); folder != nullptr && *folder != 0) {
    return folder;
  }
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home == nullptr ? "" : home) / ".cache/nearfar/models";
}

}  // namespace

std::vector<std::string> GoldenLines(const std::string& name) {
  std::ifstream in(std::string(NEARFAR_SOURCE_DIR) + "/tests/oracle/golden/" + name);
  EXPECT_TRUE(in.good()) << name;
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string GoldenField(std::string_view line, std::string_view name) {
  const size_t begin = ValueOf(line, name);
  std::string value(line.substr(begin, line.find_first_of(",}]", begin) - begin));
  if (value.size() >= 2 && value[0] == '"') value = value.substr(1, value.size() - 2);
  return value;
}

std::vector<int32_t> GoldenIds(std::string_view line, std::string_view name) {
  std::vector<int32_t> ids;
  const size_t begin = ValueOf(line, name) + 1;
  if (begin >= line.size() || line[begin] == ']') return ids;
  const std::string list(line.substr(begin, line.find(']', begin) - begin));
  for (const absl::string_view number : absl::StrSplit(list, ',')) {
    int32_t id = -1;
    EXPECT_TRUE(absl::SimpleAtoi(number, &id)) << list;
    ids.push_back(id);
  }
  return ids;
}

std::string FromHex(std::string_view hex) {
  std::string bytes;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
  }
  return bytes;
}

ModelTokenizer OpenModelTokenizer(const std::string& file_name) {
  const std::filesystem::path path = ModelFolder() / file_name;
  if (!std::filesystem::exists(path)) return {};
  ModelTokenizer model;
  auto file = GgufFile::Open(path.string());
  EXPECT_TRUE(file.ok()) << file.status();
  if (!file.ok()) return {};
  model.file = *std::move(file);
  auto tokenizer = MakeTokenizer(*model.file);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  if (!tokenizer.ok()) return {};
  model.tokenizer = *std::move(tokenizer);
  return model;
}

}  // namespace nearfar::testing
