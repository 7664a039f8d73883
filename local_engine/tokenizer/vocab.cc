// Checks what a file says of its vocabulary and turns it into tables of bytes and ids.

#include "local_engine/tokenizer/vocab.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "absl/strings/str_cat.h"
#include "local_engine/base/utf8.h"

namespace nearfar {
namespace {

// Texts of tokens that end the model's turn, whatever type a file gives them: converters often
// leave the type out. The last four separate files in code models; nothing of an answer follows.
constexpr std::string_view kEndTexts[] = {
    "<|endoftext|>", "<|im_end|>", "<|eot_id|>",  "<|eom_id|>",    "<|end_of_text|>", "<|end|>",
    "<end_of_turn>", "</s>",       "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",    "<reponame>",
};

// Texts of tokens that open a turn; control for the same reason.
constexpr std::string_view kOpenTexts[] = {"<|im_start|>"};

bool OpensTurn(std::string_view text) {
  return std::find(std::begin(kOpenTexts), std::end(kOpenTexts), text) != std::end(kOpenTexts);
}

bool EndsText(std::string_view text) {
  return std::find(std::begin(kEndTexts), std::end(kEndTexts), text) != std::end(kEndTexts);
}

// The alphabet of GPT-2's byte-level tokens: printable Latin-1 stands for itself, the other 68
// bytes are written as U+0100, U+0101 and so on.
bool StandsForItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

constexpr int kAlphabetEnd = 0x144;

// The byte of each character below kAlphabetEnd, or -1.
const std::array<int16_t, kAlphabetEnd>& ByteAlphabet() {
  static const std::array<int16_t, kAlphabetEnd> kTable = [] {
    std::array<int16_t, kAlphabetEnd> table;
    table.fill(-1);
    int next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      table[StandsForItself(byte) ? byte : next++] = static_cast<int16_t>(byte);
    }
    return table;
  }();
  return kTable;
}

// Characters outside the alphabet are kept as they are.
void AppendBytes(std::string_view text, std::vector<char>* out) {
  while (!text.empty()) {
    const Utf8Step step = DecodeUtf8(text);
    const bool letter = step.kind == Utf8Kind::kValid && step.code_point < kAlphabetEnd &&
                        ByteAlphabet()[step.code_point] >= 0;
    if (letter) {
      out->push_back(static_cast<char>(ByteAlphabet()[step.code_point]));
    } else {
      out->insert(out->end(), text.begin(), text.begin() + step.length);
    }
    text.remove_prefix(step.length);
  }
}

uint64_t MergeKey(int32_t left, int32_t right) {
  return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
}

// What the file says.
TokenType GivenType(const VocabSource& source, int64_t id) {
  return source.types.empty() ? TokenType::kNormal : static_cast<TokenType>(source.types[id]);
}

bool IsJoined(std::string_view text, std::string_view first, std::string_view second) {
  return text.size() == first.size() + second.size() && text.substr(0, first.size()) == first &&
         text.substr(first.size()) == second;
}

bool IsSpecial(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUnknown ||
         type == TokenType::kUserDefined;
}

}  // namespace

absl::StatusOr<Vocab> Vocab::Create(const VocabSource& source) {
  Vocab vocab;
  TextIndex index;
  absl::Status status = vocab.AddSpecialIds(source);
  if (status.ok()) status = vocab.AddTokens(source, &index);
  if (status.ok()) status = vocab.AddMerges(source, index);
  if (!status.ok()) return status;
  return vocab;
}

absl::Status Vocab::AddSpecialIds(const VocabSource& source) {
  const struct {
    const char* key;
    int64_t id;
  } kIds[] = {{"tokenizer.ggml.bos_token_id", source.begin_id},
              {"tokenizer.ggml.eos_token_id", source.end_id},
              {"tokenizer.ggml.eot_token_id", source.end_of_turn_id}};
  const int64_t size = static_cast<int64_t>(source.tokens.size());
  for (const auto& special : kIds) {
    if (special.id < -1 || special.id >= size) {
      return absl::InvalidArgumentError(
          absl::StrCat(special.key, ": ", special.id, " is outside the vocabulary of ", size));
    }
  }
  if (source.adds_begin && source.begin_id < 0) {
    return absl::InvalidArgumentError(
        "tokenizer.ggml.add_bos_token: true, but there is no tokenizer.ggml.bos_token_id");
  }
  begin_id_ = source.adds_begin ? static_cast<int32_t>(source.begin_id) : -1;
  for (const int64_t id : {source.end_id, source.end_of_turn_id}) {
    if (id >= 0) end_ids_.push_back(static_cast<int32_t>(id));
  }
  return absl::OkStatus();
}

absl::Status Vocab::AddTokens(const VocabSource& source, TextIndex* index) {
  const size_t n = source.tokens.size();
  if (n == 0 || n > kMaxVocabulary) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tokenizer.ggml.tokens: ", n, " tokens are outside [1, ", kMaxVocabulary, "]"));
  }
  if (!source.types.empty() && source.types.size() != n) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tokenizer.ggml.token_type: ", source.types.size(), " types for ", n, " tokens"));
  }
  index->reserve(n);
  types_.reserve(n);
  ends_.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    const std::string_view text = source.tokens[i];
    const int64_t type = source.types.empty() ? 1 : source.types[i];
    if (type < 1 || type > 6) {
      return absl::InvalidArgumentError(
          absl::StrCat("tokenizer.ggml.token_type[", i, "]: unknown type ", type));
    }
    // A token without a text can never be met; it only takes its place.
    const auto [known, is_new] = index->try_emplace(text, static_cast<int32_t>(i));
    if (!is_new && !text.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("tokenizer.ggml.tokens[", i, "]: the same text as token ", known->second));
    }
    AddBytes(text, TypeOf(text, source));
    if (IsSpecial(types_.back()) && text.size() > kMaxSpecialBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("tokenizer.ggml.tokens[", i, "]: a special token of ", text.size(),
                       " bytes, at most ", kMaxSpecialBytes, " are read"));
    }
  }
  std::sort(end_ids_.begin(), end_ids_.end());
  end_ids_.erase(std::unique(end_ids_.begin(), end_ids_.end()), end_ids_.end());
  if (bytes_.size() > std::numeric_limits<uint32_t>::max()) {
    return absl::InvalidArgumentError("tokenizer.ggml.tokens: more than 4 GiB of text");
  }
  IndexTokens();
  return absl::OkStatus();
}

// The type of the token that is added next.
TokenType Vocab::TypeOf(std::string_view text, const VocabSource& source) const {
  const int64_t id = size();
  if (id == begin_id_ || id == source.end_id || id == source.end_of_turn_id) {
    return TokenType::kControl;
  }
  return EndsText(text) || OpensTurn(text) ? TokenType::kControl : GivenType(source, id);
}

void Vocab::AddBytes(std::string_view text, TokenType type) {
  const int32_t id = size();
  types_.push_back(type);
  if (type == TokenType::kNormal) {
    AppendBytes(text, &bytes_);
  } else if (type == TokenType::kUserDefined) {
    bytes_.insert(bytes_.end(), text.begin(), text.end());
  }
  ends_.push_back(static_cast<uint32_t>(bytes_.size()));
  if (IsSpecial(type) && !text.empty()) {
    specials_.push_back({std::string(text), id, type == TokenType::kUserDefined});
  }
  if (EndsText(text)) end_ids_.push_back(id);
}

void Vocab::IndexTokens() {
  bytes_.shrink_to_fit();
  normal_.reserve(types_.size());
  for (int32_t id = 0; id < size(); ++id) {
    if (types_[id] == TokenType::kNormal && !Bytes(id).empty()) normal_.try_emplace(Bytes(id), id);
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    byte_tokens_[byte] = FindNormal({&c, 1});
  }
}

absl::Status Vocab::AddMerges(const VocabSource& source, const TextIndex& index) {
  merges_.reserve(source.merges.size());
  const auto id_of = [&](std::string_view text) -> int64_t {
    const auto found = index.find(text);
    return found == index.end() ? -1 : found->second;
  };
  const auto is_word = [&](int64_t id) {
    return id >= 0 && GivenType(source, id) == TokenType::kNormal;
  };
  const auto tokens = static_cast<int64_t>(source.tokens.size());
  int64_t result = 0;
  std::string joined;
  for (size_t i = 0; i < source.merges.size(); ++i) {
    const std::string_view text = source.merges[i];
    const auto refuse = [&](const char* what) {
      return absl::InvalidArgumentError(absl::StrCat("tokenizer.ggml.merges[", i, "]: ", what));
    };
    // The alphabet has no space, so a space at the very start belongs to a text outside of it.
    const size_t space = text.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == text.size()) {
      return refuse("not two texts with a space between them");
    }
    const std::string_view first = text.substr(0, space), second = text.substr(space + 1);
    const int64_t left = id_of(first);
    const int64_t right = id_of(second);
    // Most files list the merges in the order of the tokens that they make.
    if (++result >= tokens || !IsJoined(source.tokens[result], first, second)) {
      joined.assign(first).append(second);
      result = id_of(joined);
    }
    if (!is_word(left)) return refuse("the left text is no normal token");
    if (!is_word(right)) return refuse("the right text is no normal token");
    if (!is_word(result)) return refuse("the joined text is no normal token");
    // Normal for the file but control here, as Qwen2.5's "</s>": plain text is not joined to it.
    if (types_[result] == TokenType::kControl) continue;
    merges_.try_emplace(MergeKey(static_cast<int32_t>(left), static_cast<int32_t>(right)),
                        Merge{static_cast<int32_t>(i), static_cast<int32_t>(result)});
  }
  return absl::OkStatus();
}

std::string_view Vocab::Bytes(int32_t id) const {
  const uint32_t begin = id == 0 ? 0 : ends_[id - 1];
  return {bytes_.data() + begin, ends_[id] - begin};
}

int32_t Vocab::FindNormal(std::string_view bytes) const {
  const auto found = normal_.find(bytes);
  return found == normal_.end() ? -1 : found->second;
}

const Vocab::Merge* Vocab::FindMerge(int32_t left, int32_t right) const {
  const auto found = merges_.find(MergeKey(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

int32_t Vocab::FindControl(std::string_view text) const {
  for (const Special& special : specials_) {
    if (!special.plain && special.text == text) return special.id;
  }
  return -1;
}

bool Vocab::IsEndOfText(int32_t id) const {
  return std::binary_search(end_ids_.begin(), end_ids_.end(), id);
}

}  // namespace nearfar
