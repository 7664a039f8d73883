// Our formats against the peer's reference code: tests/oracle/golden/quant_blocks.txt, made by
// tests/oracle/quant_blocks.py. Decoding must agree bit for bit, encoding must be as good.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "local_engine/quant/formats.h"

namespace nearfar {
namespace {

struct Golden {
  struct Block {
    std::string format;
    std::string block;    // raw bytes
    std::string weights;  // raw f32
  };
  std::vector<Block> blocks;
  std::map<std::string, double> rmse;
};

Golden ReadGolden() {
  Golden golden;
  std::ifstream file(NEARFAR_SOURCE_DIR "/tests/oracle/golden/quant_blocks.txt");
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string kind, format, first, second;
    words >> kind >> format >> first >> second;
    if (kind == "rmse") golden.rmse[format] = std::stod(first);
    if (kind != "block") continue;
    golden.blocks.push_back(
        {format, absl::HexStringToBytes(first), absl::HexStringToBytes(second)});
  }
  return golden;
}

const QuantFormat* FormatNamed(const std::string& name) {
  for (const QuantFormat& format : AllFormats()) {
    if (format.name == name) return &format;
  }
  return nullptr;
}

// The numbers of random_values() in tests/oracle/quant_blocks.py.
std::vector<float> RandomValues(int n) {
  uint64_t state = 7;
  std::vector<float> values;
  for (int i = 0; i < n; ++i) {
    double total = 0;
    for (int k = 0; k < 4; ++k) {
      state += 0x9e3779b97f4a7c15u;
      uint64_t z = state;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      z ^= z >> 31;
      total += static_cast<double>(z >> 11) * 0x1p-53 - 0.5;
    }
    values.push_back(static_cast<float>(total));
  }
  return values;
}

TEST(GoldenBlocksTest, DecodeEqualsThePeersBitForBit) {
  const Golden golden = ReadGolden();
  ASSERT_EQ(golden.blocks.size(), 30u);
  for (const Golden::Block& block : golden.blocks) {
    const QuantFormat* format = FormatNamed(block.format);
    ASSERT_NE(format, nullptr) << block.format;
    ASSERT_EQ(block.block.size(), static_cast<size_t>(format->block_bytes)) << block.format;
    std::vector<float> weights(static_cast<size_t>(format->block_elements));
    ASSERT_EQ(block.weights.size(), weights.size() * sizeof(float));
    format->decode(reinterpret_cast<const uint8_t*>(block.block.data()), weights.data(),
                   format->block_elements);
    EXPECT_EQ(std::memcmp(weights.data(), block.weights.data(), block.weights.size()), 0)
        << block.format;
  }
}

TEST(GoldenBlocksTest, EncodeIsAsFaithfulAsThePeers) {
  const Golden golden = ReadGolden();
  const std::vector<float> values = RandomValues(8192);
  ASSERT_EQ(golden.rmse.size(), 10u);
  for (const auto& [name, peer_rmse] : golden.rmse) {
    const QuantFormat* format = FormatNamed(name);
    ASSERT_NE(format, nullptr) << name;
    std::vector<uint8_t> bytes(static_cast<size_t>(format->RowBytes(8192)));
    std::vector<float> back(values.size());
    format->encode(values.data(), bytes.data(), 8192);
    format->decode(bytes.data(), back.data(), 8192);
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) sum += std::pow(values[i] - back[i], 2);
    const double rmse = std::sqrt(sum / static_cast<double>(values.size()));
    EXPECT_LE(rmse, 1.01 * peer_rmse) << name;
    RecordProperty(name, std::to_string(rmse / peer_rmse));
  }
}

}  // namespace
}  // namespace nearfar
