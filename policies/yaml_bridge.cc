// yaml-cpp's own Node is not used: it keeps duplicate keys silently, resolves aliases, and never
// sees a second document. Its parser's events build a small tree of our own, which knows all of
// these; the tree is then matched against the message's descriptor. yaml-cpp throws on bad input;
// no exception leaves this file.
#include "policies/yaml_bridge.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "policies/text/code_points.h"

namespace nearfar {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// --- the tree ------------------------------------------------------------------------------------

struct Tree {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  Position position;
  std::string scalar;
  bool plain = false;       // not quoted
  std::vector<Tree> items;  // of a list, or the values of a map
  std::vector<Tree> keys;   // of a map: keys[i] belongs to items[i]
  bool refused = false;     // its error was told; it stands for no value
};

Position At(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

// Builds a Tree from events; notes anchors, aliases and tags as errors and goes on.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(int max_depth, YamlReading* reading) : max_depth_(max_depth), reading_(reading) {}

  Tree TakeRoot() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    RefuseAnchor(mark, anchor);
    Add({Tree::Kind::kNull, At(mark), "", true, {}, {}});
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    reading_->AddError(At(mark), "", "aliases (*name) are not allowed (write the value out)");
    Add({Tree::Kind::kNull, At(mark), "", true, {}, {}, /*refused=*/true});
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    RefuseAnchor(mark, anchor);
    RefuseTag(mark, tag);
    Add({Tree::Kind::kScalar, At(mark), value, tag != "!", {}, {}});  // "!" = quoted
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(Tree::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(Tree::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { Close(); }

 private:
  void RefuseAnchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor == 0) return;
    reading_->AddError(At(mark), "", "anchors (&name) are not allowed (write the value out)");
  }

  void RefuseTag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    reading_->AddError(At(mark), "", "tags (!type) are not allowed (remove the tag)");
  }

  void Open(Tree::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    RefuseAnchor(mark, anchor);
    RefuseTag(mark, tag);
    if (static_cast<int>(open_.size()) >= max_depth_) {
      throw YAML::ParserException(mark, absl::StrCat("nested deeper than ", max_depth_));
    }
    open_.push_back({kind, At(mark), "", false, {}, {}});
    keys_.emplace_back();
  }

  void Close() {
    Tree done = std::move(open_.back());
    open_.pop_back();
    keys_.pop_back();
    Add(std::move(done));
  }

  void Add(Tree tree) {
    if (open_.empty()) {
      root_ = std::move(tree);
    } else if (open_.back().kind == Tree::Kind::kList) {
      open_.back().items.push_back(std::move(tree));
    } else if (!keys_.back()) {
      keys_.back() = std::move(tree);
    } else {
      open_.back().keys.push_back(*std::move(keys_.back()));
      open_.back().items.push_back(std::move(tree));
      keys_.back().reset();
    }
  }

  const int max_depth_;
  YamlReading* const reading_;
  Tree root_;
  std::vector<Tree> open_;
  std::vector<std::optional<Tree>> keys_;  // of the open maps: the key that waits for its value
};

// --- scalars -------------------------------------------------------------------------------------

bool IsNull(const Tree& tree) {
  return tree.kind == Tree::Kind::kNull ||
         (tree.kind == Tree::Kind::kScalar && tree.plain &&
          (tree.scalar.empty() || tree.scalar == "~" || tree.scalar == "null" ||
           tree.scalar == "Null" || tree.scalar == "NULL"));
}

std::optional<bool> AsBool(std::string_view text) {
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  return std::nullopt;
}

std::string_view WithoutPlus(std::string_view text) {
  return text.size() > 1 && text[0] == '+' && text[1] != '-' ? text.substr(1) : text;
}

// The whole text as a number, infinities and NaN included.
std::optional<double> AsDouble(std::string_view text) {
  text = WithoutPlus(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size() || text.empty()) return std::nullopt;
  if (error == std::errc::result_out_of_range) return std::numeric_limits<double>::infinity();
  if (error != std::errc()) return std::nullopt;
  return value;
}

bool IsYamlNotFinite(std::string_view text) {
  constexpr std::string_view kWords[] = {".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF"};
  text = WithoutPlus(text);
  if (!text.empty() && text[0] == '-') text.remove_prefix(1);
  return std::find(std::begin(kWords), std::end(kWords), text) != std::end(kWords);
}

bool OneOfNumberStarts(char c) {
  return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.';
}

const char* KindName(const Tree& tree) {
  if (IsNull(tree)) return "empty";
  switch (tree.kind) {
    case Tree::Kind::kList:
      return "a list";
    case Tree::Kind::kMap:
      return "a map";
    default:
      break;
  }
  if (!tree.plain) return "a text";
  if (AsBool(tree.scalar)) return "a boolean";
  return AsDouble(tree.scalar) || IsYamlNotFinite(tree.scalar) ? "a number" : "a text";
}

// Shortened for a message; what people wrote may be long, or a secret in the wrong place.
std::string Shown(const std::string& scalar) {
  if (scalar.size() <= 40) return absl::StrCat("'", scalar, "'");
  size_t cut = 40;
  while (cut > 0 && (static_cast<unsigned char>(scalar[cut]) & 0xC0) == 0x80) --cut;
  return absl::StrCat("'", scalar.substr(0, cut), "...'");
}

// --- did you mean --------------------------------------------------------------------------------

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row.back();
}

std::string UnknownKey(const std::string& key, const Descriptor& type) {
  std::vector<std::string> known;
  std::string nearest;
  size_t best = std::max<size_t>(key.size() / 3, 2) + 1;
  for (int i = 0; i < type.field_count(); ++i) {
    known.push_back(type.field(i)->name());
    const size_t distance = key.size() > 100 ? best : EditDistance(key, known.back());
    if (distance < best) best = distance, nearest = known.back();
  }
  return absl::StrCat("unknown key ", Shown(key), " (",
                      nearest.empty() ? "" : absl::StrCat("did you mean '", nearest, "'? "),
                      "known: ", absl::StrJoin(known, ", "), ")");
}

// --- the tree into a message ---------------------------------------------------------------------

class Filler {
 public:
  explicit Filler(YamlReading* reading) : reading_(reading) {}

  void FillMessage(const Tree& tree, const std::string& path, Message* message) {
    if (tree.kind != Tree::Kind::kMap) {
      WrongType(tree, path, "a map of keys and values");
      return;
    }
    std::set<std::string> seen;
    for (size_t i = 0; i < tree.keys.size(); ++i) {
      FillEntry(tree.keys[i], tree.items[i], path, &seen, message);
    }
  }

 private:
  void WrongType(const Tree& tree, const std::string& path, const std::string& wanted) {
    if (tree.refused) return;
    if (IsNull(tree)) {
      reading_->AddError(
          tree.position, path,
          absl::StrCat("is empty, must be ", wanted, " (give it a value or remove the line)"));
      return;
    }
    std::string hint;
    if (tree.kind == Tree::Kind::kScalar) hint = absl::StrCat(" ", Shown(tree.scalar));
    if (tree.kind == Tree::Kind::kScalar && !tree.plain &&
        (AsDouble(tree.scalar) || AsBool(tree.scalar))) {
      hint += " (remove the quotes)";
    }
    reading_->AddError(tree.position, path,
                       absl::StrCat("must be ", wanted, ", it is ", KindName(tree), hint));
  }

  void FillEntry(const Tree& key, const Tree& value, const std::string& path,
                 std::set<std::string>* seen, Message* message) {
    if (key.kind != Tree::Kind::kScalar) {
      reading_->AddError(key.position, path, "keys must be plain words");
      return;
    }
    const std::string field_path = path.empty() ? key.scalar : absl::StrCat(path, ".", key.scalar);
    if (key.scalar == "<<") {
      reading_->AddError(key.position, path,
                         "merge keys (<<) are not allowed (write the keys out)");
      return;
    }
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(key.scalar);
    if (field == nullptr) {
      reading_->AddError(key.position, field_path,
                         UnknownKey(key.scalar, *message->GetDescriptor()));
      return;
    }
    if (!seen->insert(key.scalar).second) {
      const Position first = reading_->PositionOf(field_path);
      reading_->AddError(
          key.position, field_path,
          absl::StrCat("stands here a second time (first at line ", first.line, "; keep one)"));
      return;
    }
    reading_->SetPosition(field_path, key.position);
    // An empty value has no place of its own: the parser gives that of whatever comes next.
    Tree empty;
    empty.position = key.position;
    const bool is_empty = value.kind == Tree::Kind::kNull && !value.refused;
    if (field->is_repeated()) {
      FillList(is_empty ? empty : value, field_path, *field, message);
    } else {
      FillField(is_empty ? empty : value, field_path, *field, message);
    }
  }

  void FillList(const Tree& tree, const std::string& path, const FieldDescriptor& field,
                Message* message) {
    if (tree.kind != Tree::Kind::kList) {
      WrongType(tree, path, "a list (as [a, b], or lines that begin with -)");
      return;
    }
    for (size_t i = 0; i < tree.items.size(); ++i) {
      const std::string item_path = absl::StrCat(path, "[", i, "]");
      reading_->SetPosition(item_path, tree.items[i].position);
      FillField(tree.items[i], item_path, field, message);
    }
  }

  void FillField(const Tree& tree, const std::string& path, const FieldDescriptor& field,
                 Message* message) {
    const auto* reflection = message->GetReflection();
    const bool list = field.is_repeated();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        FillMessage(tree, path,
                    list ? reflection->AddMessage(message, &field)
                         : reflection->MutableMessage(message, &field));
        return;
      case FieldDescriptor::CPPTYPE_STRING:
        if (auto text = Text(tree, path)) {
          list ? reflection->AddString(message, &field, *text)
               : reflection->SetString(message, &field, *text);
        }
        return;
      case FieldDescriptor::CPPTYPE_BOOL:
        if (auto value = Bool(tree, path)) reflection->SetBool(message, &field, *value);
        return;
      case FieldDescriptor::CPPTYPE_INT32:
        if (auto value = Whole(tree, path, std::numeric_limits<int32_t>::min(),
                               std::numeric_limits<int32_t>::max())) {
          reflection->SetInt32(message, &field, static_cast<int32_t>(*value));
        }
        return;
      case FieldDescriptor::CPPTYPE_UINT32:
        // Lists keep a place for a bad item, so that later ones stay aligned with their neighbours.
        reflection->AddUInt32(
            message, &field,
            static_cast<uint32_t>(
                Whole(tree, path, 0, std::numeric_limits<uint32_t>::max()).value_or(0)));
        return;
      case FieldDescriptor::CPPTYPE_FLOAT:
        reflection->AddFloat(message, &field, static_cast<float>(Number(tree, path).value_or(0)));
        return;
      case FieldDescriptor::CPPTYPE_DOUBLE: {
        const std::optional<double> value = Number(tree, path);
        if (list) {
          reflection->AddDouble(message, &field, value.value_or(0));
        } else if (value) {
          reflection->SetDouble(message, &field, *value);
        }
        return;
      }
      default:
        reading_->AddError(tree.position, path, "has a type that files cannot hold");
    }
  }

  // Plain words that YAML takes for something else must be quoted to be text.
  std::optional<std::string> Text(const Tree& tree, const std::string& path) {
    if (tree.kind != Tree::Kind::kScalar || IsNull(tree)) {
      WrongType(tree, path, "a text");
      return std::nullopt;
    }
    // "inf" and "nan" are words in YAML, whatever from_chars takes them for.
    const bool number = AsDouble(tree.scalar) && OneOfNumberStarts(tree.scalar[0]);
    if (tree.plain && (AsBool(tree.scalar) || number)) {
      reading_->AddError(
          tree.position, path,
          absl::StrCat("must be a text, it is ", KindName(tree), " (write \"", tree.scalar, "\")"));
      return std::nullopt;
    }
    return tree.scalar;
  }

  std::optional<bool> Bool(const Tree& tree, const std::string& path) {
    if (tree.kind == Tree::Kind::kScalar && tree.plain) {
      if (const auto value = AsBool(tree.scalar)) return value;
    }
    WrongType(tree, path, "true or false");
    return std::nullopt;
  }

  std::optional<double> Number(const Tree& tree, const std::string& path) {
    if (tree.kind == Tree::Kind::kScalar && tree.plain) {
      const std::optional<double> value = AsDouble(tree.scalar);
      if (IsYamlNotFinite(tree.scalar) || (value && !std::isfinite(*value))) {
        reading_->AddError(tree.position, path,
                           absl::StrCat("must be a finite number, it is ", Shown(tree.scalar)));
        return std::nullopt;
      }
      if (value) return value;
    }
    WrongType(tree, path, "a number");
    return std::nullopt;
  }

  std::optional<int64_t> Whole(const Tree& tree, const std::string& path, int64_t low,
                               int64_t high) {
    if (tree.kind == Tree::Kind::kScalar && tree.plain) {
      const std::string_view text = WithoutPlus(tree.scalar);
      int64_t value = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      const bool digits = end == text.data() + text.size() && !text.empty();
      if (digits && error == std::errc() && value >= low && value <= high) return value;
      if (digits && error != std::errc::invalid_argument) {
        reading_->AddError(
            tree.position, path,
            absl::StrCat("must be between ", low, " and ", high, ", it is ", Shown(tree.scalar)));
        return std::nullopt;
      }
    }
    WrongType(tree, path, "a whole number");
    return std::nullopt;
  }

  YamlReading* const reading_;
};

// --- the text ------------------------------------------------------------------------------------

// The place of the first byte that is no UTF-8, if there is one.
std::optional<Position> FirstBadByte(std::string_view text) {
  Position position;
  for (size_t pos = 0; pos < text.size();) {
    const size_t start = pos;
    const char32_t code = NextCodePoint(text, &pos);
    if (code == 0xFFFD && pos == start + 1) return position;
    if (code == 0) return position;  // no text file holds a NUL
    ++position.column;
    if (code == '\n') ++position.line, position.column = 1;
  }
  return std::nullopt;
}

// A tab in the indentation of this line (from 1): what YAML forbids and editors do.
bool IsIndentedByTab(std::string_view text, int line) {
  size_t start = 0;
  for (int i = 1; i < line && start != std::string_view::npos; ++i) {
    start = text.find('\n', start);
    if (start != std::string_view::npos) ++start;
  }
  if (start == std::string_view::npos) return false;
  const size_t solid = text.find_first_not_of(" \t", start);
  return text.substr(start, solid - start).find('\t') != std::string_view::npos;
}

// False if there is no document that could be read.
bool ParseTree(std::string_view text, const YamlLimits& limits, YamlReading* reading, Tree* tree) {
  std::istringstream stream{std::string(text)};
  try {
    YAML::Parser parser(stream);
    TreeBuilder builder(limits.depth, reading);
    if (!parser.HandleNextDocument(builder)) {
      reading->AddError(Position{}, "", "is empty");
      return false;
    }
    *tree = builder.TakeRoot();
    YamlReading ignored;
    TreeBuilder second(limits.depth, &ignored);
    if (parser.HandleNextDocument(second)) {
      const Position position = second.TakeRoot().position;
      reading->AddError(position, "",
                        "a second document begins here (one file holds one document)");
    }
    return true;
  } catch (const YAML::Exception& error) {
    const Position position = error.mark.is_null() ? Position{} : At(error.mark);
    const bool tab = IsIndentedByTab(text, position.line);
    reading->AddError(position, "",
                      absl::StrCat("is not valid YAML: ", error.msg,
                                   tab ? " (this line begins with a tab; use spaces)" : ""));
    return false;
  }
}

// The field that holds this one, "" = the document.
std::string Parent(const std::string& field) {
  const size_t cut = field.find_last_of(".[");
  return field.substr(0, cut == std::string::npos ? 0 : cut);
}

}  // namespace

Position YamlReading::PositionOf(const std::string& field) const {
  for (std::string path = field; !path.empty(); path = Parent(path)) {
    const auto found = positions_.find(path);
    if (found != positions_.end()) return found->second;
  }
  const auto root = positions_.find("");
  return root != positions_.end() ? root->second : Position{};
}

void YamlReading::AddError(Position position, const std::string& field, std::string message) {
  if (is_full()) return;
  if (errors_.size() == kMaxErrors) {
    errors_.push_back({position, "", "there are more mistakes (correct these first)"});
    return;
  }
  errors_.push_back({position, field, std::move(message)});
  blamed_.insert(field);
  holding_.insert(field);
  for (std::string path = Parent(field); !path.empty(); path = Parent(path)) {
    holding_.insert(path);
  }
}

bool YamlReading::HasErrorAt(const std::string& field) const { return holding_.count(field) > 0; }

bool YamlReading::HasErrorOn(const std::string& field) const {
  if (HasErrorAt(field)) return true;
  for (std::string path = Parent(field); !path.empty(); path = Parent(path)) {
    if (blamed_.count(path) > 0) return true;
  }
  return false;
}

std::string YamlReading::Format(const std::string& file) const {
  std::vector<YamlError> sorted = errors_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const YamlError& a, const YamlError& b) {
    return std::pair(a.position.line, a.position.column) <
           std::pair(b.position.line, b.position.column);
  });
  return absl::StrJoin(sorted, "\n", [&](std::string* out, const YamlError& error) {
    absl::StrAppend(out, file, ":", error.position.line, ":", error.position.column, ": ",
                    error.field, error.field.empty() ? "" : ": ", error.message);
  });
}

YamlReading ReadYaml(std::string_view text, Message* message, const YamlLimits& limits) {
  YamlReading reading;
  if (text.size() > limits.bytes) {
    reading.AddError(Position{}, "",
                     absl::StrCat("is larger than ", limits.bytes, " bytes (", text.size(), ")"));
    return reading;
  }
  if (const auto position = FirstBadByte(text)) {
    reading.AddError(*position, "", "a byte here is not UTF-8 text (save the file as UTF-8)");
    return reading;
  }
  Tree tree;
  if (!ParseTree(text, limits, &reading, &tree)) return reading;
  if (IsNull(tree) && !tree.refused) {
    reading.AddError(Position{}, "", "is empty");
    return reading;
  }
  if (tree.kind == Tree::Kind::kMap) reading.SetPosition("", tree.position);
  Filler(&reading).FillMessage(tree, "", message);
  return reading;
}

}  // namespace nearfar
