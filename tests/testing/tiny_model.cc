// Weights come from a fixed integer recurrence and not from <random>, whose distributions differ
// between libraries. Held by tests/local_engine/gguf/gguf_file_test.cc.

#include "tests/testing/tiny_model.h"

#include <cmath>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "local_engine/quant/formats.h"

namespace nearfar::testing {
namespace {

// splitmix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // Roughly normal with deviation 1: a sum of four uniforms.
  float Normal() {
    double sum = 0;
    for (int i = 0; i < 4; ++i) sum += static_cast<double>(Next() >> 11) * 0x1p-53 - 0.5;
    return static_cast<float>(sum * 1.7320508075688772);
  }

 private:
  uint64_t state_;
};

std::string Utf8(uint32_t code_point) {
  if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xc0 | code_point >> 6), static_cast<char>(0x80 | (code_point & 63))};
}

bool IsPrintableByte(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

// GPT-2's alphabet: a printable byte stands for itself, the others for U+0100 on.
std::vector<std::string> ByteAlphabet() {
  std::vector<std::string> letters;
  uint32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    letters.push_back(Utf8(IsPrintableByte(byte) ? static_cast<uint32_t>(byte) : next++));
  }
  return letters;
}

TinyVocabulary MakeVocabulary() {
  TinyVocabulary vocabulary;
  vocabulary.tokens = ByteAlphabet();
  const std::string space = vocabulary.tokens[' '];
  const std::pair<std::string, std::string> merges[] = {
      {"t", "h"},     {"th", "e"}, {"i", "n"},         {"e", "r"},   {space, "t"},
      {"a", "n"},     {"o", "n"},  {space + "t", "h"}, {"an", "d"},  {space, "a"},
      {"in", "g"},    {"h", "e"},  {"l", "l"},         {"he", "ll"}, {"hell", "o"},
      {space, space}, {"u", "s"},  {"us", "er"},       {"1", "2"},   {"=", "="},
  };
  for (const auto& [left, right] : merges) {
    vocabulary.merges.push_back(left + " " + right);
    vocabulary.tokens.push_back(left + right);
  }
  vocabulary.types.assign(vocabulary.tokens.size(), 1);
  const auto add_special = [&](const char* text) {
    vocabulary.tokens.push_back(text);
    vocabulary.types.push_back(3);
    return static_cast<int32_t>(vocabulary.tokens.size() - 1);
  };
  vocabulary.end_of_text = add_special("<|endoftext|>");
  vocabulary.im_start = add_special("<|im_start|>");
  vocabulary.im_end = add_special("<|im_end|>");
  return vocabulary;
}

// Sizes of the model, in elements.
struct Shape {
  uint64_t width;
  uint64_t ffn;
  uint64_t heads = 4;
  uint64_t kv_heads = 2;
  uint64_t vocabulary;

  uint64_t kv_width() const { return width / heads * kv_heads; }
};

Shape ShapeOf(const TinyModelOptions& options) {
  const bool long_blocks = FindFormat(options.weights)->block_elements > 64;
  Shape shape;
  shape.width = long_blocks ? 256 : 64;
  shape.ffn = 2 * shape.width;
  shape.vocabulary = TheTinyVocabulary().tokens.size();
  return shape;
}

constexpr char kChatMlTemplate[] =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ "
    "'<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' "
    "}}{% endif %}";

void AddTokenizer(const TinyModelOptions& options, GgufWriter* writer) {
  const TinyVocabulary& vocabulary = TheTinyVocabulary();
  writer->AddString("tokenizer.ggml.model", "gpt2");
  writer->AddString("tokenizer.ggml.pre", options.architecture == "qwen2" ? "qwen2" : "smollm");
  writer->AddStrings("tokenizer.ggml.tokens", vocabulary.tokens);
  writer->AddInt32s("tokenizer.ggml.token_type", vocabulary.types);
  writer->AddStrings("tokenizer.ggml.merges", vocabulary.merges);
  writer->AddUint32("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(vocabulary.im_start));
  writer->AddUint32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(vocabulary.im_end));
  writer->AddUint32("tokenizer.ggml.padding_token_id",
                    static_cast<uint32_t>(vocabulary.end_of_text));
  writer->AddBool("tokenizer.ggml.add_bos_token", false);
  writer->AddString("tokenizer.chat_template", kChatMlTemplate);
}

void AddConfig(const TinyModelOptions& options, const Shape& shape, GgufWriter* writer) {
  const std::string prefix = options.architecture + ".";
  const auto add = [&](const char* key, uint64_t value) {
    writer->AddUint32(prefix + key, static_cast<uint32_t>(value));
  };
  writer->AddString("general.architecture", options.architecture);
  writer->AddString("general.name", "tiny-" + options.architecture);
  add("block_count", static_cast<uint64_t>(options.layers));
  add("context_length", static_cast<uint64_t>(options.context));
  add("embedding_length", shape.width);
  add("feed_forward_length", shape.ffn);
  add("attention.head_count", shape.heads);
  add("attention.head_count_kv", shape.kv_heads);
  writer->AddFloat32(prefix + "rope.freq_base", 10000.0f);
  writer->AddFloat32(prefix + "attention.layer_norm_rms_epsilon", 1e-5f);
  if (options.architecture == "llama") {
    add("vocab_size", shape.vocabulary);
    add("rope.dimension_count", shape.width / shape.heads);
  }
}

// Adds tensors with random values, one stream of numbers for the whole file.
class WeightWriter {
 public:
  WeightWriter(const TinyModelOptions& options, GgufWriter* writer)
      : options_(options), writer_(writer), random_(options.seed) {}

  // Deviation 1 / sqrt(columns): activations keep their size from layer to layer.
  void Matrix(const std::string& name, uint64_t columns, uint64_t rows) {
    const float deviation = 1 / std::sqrt(static_cast<float>(columns));
    std::vector<float> values(columns * rows);
    for (float& value : values) value = random_.Normal() * deviation;
    writer_->AddTensor(name, {columns, rows}, options_.weights, values);
  }
  void Vector(const std::string& name, uint64_t width, float mean) {
    std::vector<float> values(width);
    for (float& value : values) value = mean + 0.1f * random_.Normal();
    writer_->AddTensor(name, {width}, DType::kF32, values);
  }

 private:
  const TinyModelOptions& options_;
  GgufWriter* writer_;
  Random random_;
};

void AddLayer(int layer, const TinyModelOptions& options, const Shape& shape,
              WeightWriter* weights) {
  const std::string prefix = "blk." + std::to_string(layer) + ".";
  weights->Vector(prefix + "attn_norm.weight", shape.width, 1);
  weights->Matrix(prefix + "attn_q.weight", shape.width, shape.width);
  weights->Matrix(prefix + "attn_k.weight", shape.width, shape.kv_width());
  weights->Matrix(prefix + "attn_v.weight", shape.width, shape.kv_width());
  if (options.architecture == "qwen2") {
    weights->Vector(prefix + "attn_q.bias", shape.width, 0);
    weights->Vector(prefix + "attn_k.bias", shape.kv_width(), 0);
    weights->Vector(prefix + "attn_v.bias", shape.kv_width(), 0);
  }
  weights->Matrix(prefix + "attn_output.weight", shape.width, shape.width);
  weights->Vector(prefix + "ffn_norm.weight", shape.width, 1);
  weights->Matrix(prefix + "ffn_gate.weight", shape.width, shape.ffn);
  weights->Matrix(prefix + "ffn_up.weight", shape.width, shape.ffn);
  weights->Matrix(prefix + "ffn_down.weight", shape.ffn, shape.width);
}

GgufWriter MakeTinyModel(const TinyModelOptions& options) {
  const Shape shape = ShapeOf(options);
  GgufWriter writer;
  AddConfig(options, shape, &writer);
  AddTokenizer(options, &writer);
  WeightWriter weights(options, &writer);
  weights.Matrix("token_embd.weight", shape.width, shape.vocabulary);
  for (int layer = 0; layer < options.layers; ++layer) AddLayer(layer, options, shape, &weights);
  weights.Vector("output_norm.weight", shape.width, 1);
  if (!options.tied_embeddings) weights.Matrix("output.weight", shape.width, shape.vocabulary);
  return writer;
}

}  // namespace

const TinyVocabulary& TheTinyVocabulary() {
  static const TinyVocabulary* vocabulary = new TinyVocabulary(MakeVocabulary());
  return *vocabulary;
}

// Encoding the K formats takes about a second, so a model is made once a program.
GgufWriter TinyModel(const TinyModelOptions& options) {
  using Key = std::tuple<std::string, DType, bool, int, int, uint64_t>;
  static std::mutex* mutex = new std::mutex;
  static auto* made = new std::map<Key, GgufWriter>;
  const Key key = {options.architecture, options.weights, options.tied_embeddings,
                   options.layers,       options.context, options.seed};
  const std::lock_guard<std::mutex> lock(*mutex);
  auto found = made->find(key);
  if (found == made->end()) found = made->emplace(key, MakeTinyModel(options)).first;
  return found->second;
}

std::vector<uint8_t> TinyModelBytes(const TinyModelOptions& options) {
  return TinyModel(options).Finish();
}

std::string WriteTinyModel(const TinyModelOptions& options, const std::string& name) {
  return WriteTestFile(name, TinyModelBytes(options));
}

}  // namespace nearfar::testing
