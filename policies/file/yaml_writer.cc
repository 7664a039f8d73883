#include "policies/file/yaml_writer.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"

namespace nearfar::policy_file {
namespace {

template <typename T>
std::string Shortest(T value) {
  std::array<char, 40> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return std::string(buffer.data(), result.ptr);
}

std::string QuotedText(const std::string& text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(c));
    } else if (c < 0x20 || c == 0x7F) {
      std::array<char, 5> escape;
      std::snprintf(escape.data(), escape.size(), "\\x%02X", c);
      out.append(escape.data());
    } else {
      out.push_back(static_cast<char>(c));
    }
  }
  return out + "\"";
}

class YamlWriter {
 public:
  std::string Write(const google::protobuf::Message& message) {
    WriteFields(message, "");
    return std::move(out_);
  }

 private:
  using Field = google::protobuf::FieldDescriptor;

  std::string Scalar(const google::protobuf::Message& message, const Field& field, int index) {
    const auto* r = message.GetReflection();
    const bool list = field.is_repeated();
    switch (field.cpp_type()) {
      case Field::CPPTYPE_DOUBLE:
        return Shortest(list ? r->GetRepeatedDouble(message, &field, index)
                             : r->GetDouble(message, &field));
      case Field::CPPTYPE_FLOAT:
        return Shortest(list ? r->GetRepeatedFloat(message, &field, index)
                             : r->GetFloat(message, &field));
      case Field::CPPTYPE_INT32:
        return absl::StrCat(r->GetInt32(message, &field));
      case Field::CPPTYPE_UINT32:
        return absl::StrCat(r->GetRepeatedUInt32(message, &field, index));
      case Field::CPPTYPE_STRING:
        return QuotedText(list ? r->GetRepeatedString(message, &field, index)
                               : r->GetString(message, &field));
      default:
        return "null";
    }
  }

  void WriteList(const google::protobuf::Message& message, const Field& field,
                 const std::string& indent) {
    std::string line = absl::StrCat(indent, field.name(), ": [");
    const int size = message.GetReflection()->FieldSize(message, &field);
    for (int i = 0; i < size; ++i) {
      const std::string item = absl::StrCat(Scalar(message, field, i), i + 1 < size ? ", " : "");
      if (line.size() + item.size() > 99) {
        absl::StrAppend(&out_, line, "\n");
        line = indent + "  ";
      }
      line += item;
    }
    absl::StrAppend(&out_, line, "]\n");
  }

  void WriteMessageList(const google::protobuf::Message& message, const Field& field,
                        const std::string& indent) {
    const auto* reflection = message.GetReflection();
    absl::StrAppend(&out_, indent, field.name(), ":\n");
    for (int i = 0; i < reflection->FieldSize(message, &field); ++i) {
      // The first key stands behind the dash.
      const size_t start = out_.size();
      WriteFields(reflection->GetRepeatedMessage(message, &field, i), indent + "    ");
      if (out_.size() > start) out_[start + indent.size() + 2] = '-';
    }
  }

  void WriteFields(const google::protobuf::Message& message, const std::string& indent) {
    std::vector<const Field*> fields;
    message.GetReflection()->ListFields(message, &fields);
    for (const Field* field : fields) {
      const bool is_message = field->cpp_type() == Field::CPPTYPE_MESSAGE;
      if (field->is_repeated()) {
        is_message ? WriteMessageList(message, *field, indent) : WriteList(message, *field, indent);
      } else if (is_message) {
        absl::StrAppend(&out_, indent, field->name(), ":\n");
        WriteFields(message.GetReflection()->GetMessage(message, field), indent + "  ");
      } else {
        absl::StrAppend(&out_, indent, field->name(), ": ", Scalar(message, *field, 0), "\n");
      }
    }
  }

  std::string out_;
};

}  // namespace

std::string WriteYaml(const google::protobuf::Message& message) {
  return YamlWriter().Write(message);
}

}  // namespace nearfar::policy_file
