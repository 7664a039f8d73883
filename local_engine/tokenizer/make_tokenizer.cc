// The list of tokenizer kinds: tokenizer.ggml.model chooses the algorithm, tokenizer.ggml.pre the
// way of cutting text into pieces. Held by tests/local_engine/tokenizer/make_tokenizer_test.cc.

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "local_engine/tokenizer/bpe_tokenizer.h"
#include "local_engine/tokenizer/pretokenizer.h"
#include "local_engine/tokenizer/tokenizer.h"
#include "local_engine/tokenizer/vocab.h"

namespace nearfar {
namespace {

// Real files have up to three merges for a token.
constexpr uint64_t kMaxMerges = 4 * kMaxVocabulary;

// The value of a key that a file may leave out; a value of the wrong type is still an error.
template <typename T>
absl::StatusOr<T> Or(absl::StatusOr<T> value, T fallback) {
  return absl::IsNotFound(value.status()) ? std::move(fallback) : std::move(value);
}

// A file without a key that every tokenizer needs is a bad file, not a missing one.
template <typename T>
absl::StatusOr<T> Required(absl::StatusOr<T> value) {
  if (!absl::IsNotFound(value.status())) return value;
  return absl::InvalidArgumentError(value.status().message());
}

absl::StatusOr<const Pretokenizer*> ChoosePretokenizer(const GgufFile& file) {
  const absl::StatusOr<std::string_view> model = Required(file.GetString("tokenizer.ggml.model"));
  if (!model.ok()) return model.status();
  if (*model != "gpt2") {
    return absl::UnimplementedError(absl::StrCat("tokenizer.ggml.model: \"", std::string(*model),
                                                 "\" is not known here; known: \"gpt2\""));
  }
  const absl::StatusOr<std::string_view> name =
      Or<std::string_view>(file.GetString("tokenizer.ggml.pre"), "default");
  if (!name.ok()) return name.status();
  const Pretokenizer* const found = FindPretokenizer(*name);
  if (found != nullptr) return found;
  const auto append_name = [](std::string* out, const Pretokenizer& p) {
    absl::StrAppend(out, "\"", p.name, "\"");
  };
  return absl::UnimplementedError(absl::StrCat(
      "tokenizer.ggml.pre: \"", std::string(*name),
      "\" is not known here; known: ", absl::StrJoin(AllPretokenizers(), ", ", append_name)));
}

// Elements of an array, without reading them; 0 where there is none.
uint64_t CountOf(const GgufFile& file, std::string_view key) {
  const GgufValue* const value = file.Find(key);
  return value == nullptr ? 0 : value->count;
}

// Before anything is held for them.
absl::Status CheckCounts(const GgufFile& file) {
  const uint64_t tokens = CountOf(file, "tokenizer.ggml.tokens");
  const uint64_t types = CountOf(file, "tokenizer.ggml.token_type");
  const uint64_t merges = CountOf(file, "tokenizer.ggml.merges");
  if (tokens > kMaxVocabulary) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tokenizer.ggml.tokens: ", tokens, " tokens, at most ", kMaxVocabulary, " are read"));
  }
  if (tokens != 0 && types != 0 && types != tokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("tokenizer.ggml.token_type: ", types, " types for ", tokens, " tokens"));
  }
  if (merges > kMaxMerges) {
    return absl::InvalidArgumentError(absl::StrCat("tokenizer.ggml.merges: ", merges,
                                                   " merges, at most ", kMaxMerges, " are read"));
  }
  return absl::OkStatus();
}

absl::Status ReadTexts(const GgufFile& file, VocabSource* source) {
  if (absl::Status counts = CheckCounts(file); !counts.ok()) return counts;
  auto tokens = Required(file.GetStrings("tokenizer.ggml.tokens"));
  if (!tokens.ok()) return tokens.status();
  auto merges = Required(file.GetStrings("tokenizer.ggml.merges"));
  if (!merges.ok()) return merges.status();
  auto types = Or<std::vector<int64_t>>(file.GetInts("tokenizer.ggml.token_type"), {});
  if (!types.ok()) return types.status();
  source->tokens = *std::move(tokens);
  source->merges = *std::move(merges);
  source->types = *std::move(types);
  return absl::OkStatus();
}

absl::Status ReadSpecialIds(const GgufFile& file, bool adds_begin, VocabSource* source) {
  const struct {
    const char* key;
    int64_t* id;
  } kIds[] = {{"tokenizer.ggml.bos_token_id", &source->begin_id},
              {"tokenizer.ggml.eos_token_id", &source->end_id},
              {"tokenizer.ggml.eot_token_id", &source->end_of_turn_id}};
  for (const auto& special : kIds) {
    const absl::StatusOr<int64_t> id = Or<int64_t>(file.GetInt(special.key), -1);
    if (!id.ok()) return id.status();
    *special.id = *id;
  }
  const absl::StatusOr<bool> adds =
      Or<bool>(file.GetBool("tokenizer.ggml.add_bos_token"), adds_begin && source->begin_id >= 0);
  if (!adds.ok()) return adds.status();
  source->adds_begin = *adds;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Tokenizer>> MakeTokenizer(const GgufFile& file) {
  const absl::StatusOr<const Pretokenizer*> pretokenizer = ChoosePretokenizer(file);
  if (!pretokenizer.ok()) return pretokenizer.status();
  VocabSource source;
  absl::Status status = ReadTexts(file, &source);
  if (!status.ok()) return status;
  status = ReadSpecialIds(file, (*pretokenizer)->adds_begin, &source);
  if (!status.ok()) return status;
  absl::StatusOr<Vocab> vocab = Vocab::Create(source);
  if (!vocab.ok()) return vocab.status();
  return NewBpeTokenizer(*std::move(vocab), **pretokenizer);
}

}  // namespace nearfar
