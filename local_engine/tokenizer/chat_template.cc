// The known families are data: how their template text is recognised, the system text they add
// where a conversation brings none, and how they show the results of tools. All of them write
// ChatML:
//
//   <|im_start|>ROLE\nCONTENT<|im_end|>\n ... <|im_start|>assistant\n
//
// The golden ids in the test come from rendering the files' own templates with Jinja.

#include "local_engine/tokenizer/chat_template.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace nearfar {
namespace {

struct Family {
  const char* name;
  // All of these stand in the template's text: statements that write turns, so that another family
  // cannot have them all. Line breaks in them as in WithLineBreaks.
  std::vector<std::string_view> marks;
  // The marks, one after another, are the whole text.
  bool whole_text;
  std::string_view default_system;  // empty: no system turn is added
  // Results of tools are shown inside a user turn, neighbouring ones in the same.
  bool tools_speak_as_user;
};

constexpr char kQwenSystemStatement[] =
    "'<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
    "assistant.<|im_end|>\n'";
constexpr char kSmolLmLoop[] =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ "
    "'<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
    "Face<|im_end|>\n' }}{% endif %}";
constexpr char kTurnStatement[] =
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}";
constexpr char kOpenStatement[] =
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

const std::vector<Family>& AllFamilies() {
  static const auto* const kAll = new std::vector<Family>{
      {"qwen2.5",
       {kQwenSystemStatement,
        "'<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n'",
        "{{- '<|im_start|>user' }}", "'\n<tool_response>\n'", "'\n</tool_response>'",
        "'<|im_start|>assistant\n'"},
       false,
       "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
       true},
      {"smollm2",
       {kSmolLmLoop, kTurnStatement, kOpenStatement},
       true,
       "You are a helpful AI assistant named SmolLM, trained by Hugging Face",
       false},
      {"chatml",
       {"{% for message in messages %}", kTurnStatement, kOpenStatement},
       true,
       "",
       false},
  };
  return *kAll;
}

// Jinja reads a line break in a string and the two characters "\n" alike, and files have either.
std::string WithLineBreaks(std::string_view text) {
  return absl::StrReplaceAll({text.data(), text.size()}, {{"\\n", "\n"}});
}

bool Fits(const Family& family, std::string_view text) {
  size_t length = 0;
  for (const std::string_view mark : family.marks) {
    const size_t at = text.find(mark);
    if (at == std::string_view::npos) return false;
    if (family.whole_text && at != length) return false;
    length += mark.size();
  }
  return !family.whole_text || length == text.size();
}

bool IsRole(std::string_view role) {
  constexpr std::string_view kRoles[] = {"system", "user", "assistant", "tool"};
  return std::find(std::begin(kRoles), std::end(kRoles), role) != std::end(kRoles);
}

class ChatmlTemplate : public ChatTemplate {
 public:
  ChatmlTemplate(const Family& family, const Tokenizer& tokenizer, int32_t start, int32_t end)
      : family_(family), tokenizer_(tokenizer), start_(start), end_(end) {}

  std::string_view name() const override { return family_.name; }

  absl::StatusOr<std::vector<int32_t>> Encode(absl::Span<const TemplateTurn> turns,
                                              std::string_view assistant_prefix) const override {
    const absl::Status status = Check(turns);
    if (!status.ok()) return status;
    std::vector<int32_t> ids;
    if (tokenizer_.begin_id() >= 0) ids.push_back(tokenizer_.begin_id());
    if (turns[0].role != "system" && !family_.default_system.empty()) {
      WriteTurn("system", family_.default_system, &ids);
    }
    for (size_t i = 0; i < turns.size();) i = WriteTurnsFrom(turns, i, &ids);
    ids.push_back(start_);
    WriteText("assistant\n", &ids);
    WriteText(assistant_prefix, &ids);
    return ids;
  }

 private:
  static absl::Status Check(absl::Span<const TemplateTurn> turns) {
    if (turns.empty()) return absl::InvalidArgumentError("a conversation needs at least one turn");
    for (size_t i = 0; i < turns.size(); ++i) {
      if (IsRole(turns[i].role)) continue;
      return absl::InvalidArgumentError(absl::StrCat("turn ", i, ": unknown role \"",
                                                     std::string(turns[i].role),
                                                     "\"; known: system, user, assistant, tool"));
    }
    return absl::OkStatus();
  }

  // Writes the turn at i, with those that share its turn in the template; returns the next one.
  size_t WriteTurnsFrom(absl::Span<const TemplateTurn> turns, size_t i,
                        std::vector<int32_t>* ids) const {
    if (turns[i].role != "tool" || !family_.tools_speak_as_user) {
      WriteTurn(turns[i].role, turns[i].content, ids);
      return i + 1;
    }
    std::string results;
    for (; i < turns.size() && turns[i].role == "tool"; ++i) {
      absl::StrAppend(&results, results.empty() ? "" : "\n", "<tool_response>\n",
                      std::string(turns[i].content), "\n</tool_response>");
    }
    WriteTurn("user", results, ids);
    return i;
  }

  void WriteTurn(std::string_view role, std::string_view content, std::vector<int32_t>* ids) const {
    ids->push_back(start_);
    WriteText(absl::StrCat(std::string(role), "\n", std::string(content)), ids);
    ids->push_back(end_);
    WriteText("\n", ids);
  }

  void WriteText(std::string_view text, std::vector<int32_t>* ids) const {
    tokenizer_.Encode(text, /*parse_special=*/false, ids);
  }

  const Family& family_;
  const Tokenizer& tokenizer_;
  int32_t start_;
  int32_t end_;
};

absl::Status NotKnown(const char* what) {
  const auto append_name = [](std::string* out, const Family& f) { out->append(f.name); };
  return absl::UnimplementedError(
      absl::StrCat("tokenizer.chat_template: ", what,
                   "; templates known here: ", absl::StrJoin(AllFamilies(), ", ", append_name),
                   " (the model can still be used without a template)"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<const ChatTemplate>> RecogniseChatTemplate(
    std::string_view text, const Tokenizer& tokenizer) {
  const std::string program = WithLineBreaks(text);
  const auto family = std::find_if(AllFamilies().begin(), AllFamilies().end(),
                                   [&](const Family& f) { return Fits(f, program); });
  if (family == AllFamilies().end()) return NotKnown("its text is not recognised");
  const int32_t start = tokenizer.FindControl("<|im_start|>");
  const int32_t end = tokenizer.FindControl("<|im_end|>");
  if (start < 0 || end < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("tokenizer.chat_template is ", family->name,
                     ", but the vocabulary has no control token <|im_start|> or <|im_end|>"));
  }
  return std::make_unique<ChatmlTemplate>(*family, tokenizer, start, end);
}

absl::StatusOr<std::unique_ptr<const ChatTemplate>> MakeChatTemplate(const GgufFile& file,
                                                                     const Tokenizer& tokenizer) {
  const absl::StatusOr<std::string_view> text = file.GetString("tokenizer.chat_template");
  if (absl::IsNotFound(text.status())) return NotKnown("the file has none");
  if (!text.ok()) return text.status();
  return RecogniseChatTemplate(*text, tokenizer);
}

}  // namespace nearfar
