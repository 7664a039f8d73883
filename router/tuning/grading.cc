#include "router/tuning/grading.h"

#include <cmath>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"

namespace nearfar {
namespace {

// Bytes of multi-byte characters count as letters.
bool IsWordByte(char c) { return absl::ascii_isalnum(c) || static_cast<unsigned char>(c) >= 0x80; }

bool IsDigitAt(std::string_view text, size_t at) {
  return at < text.size() && absl::ascii_isdigit(text[at]);
}

// "3.1" does not stand whole in "3.14" nor in "3.1.2", but in "It is 3.1."
bool BoundaryBefore(std::string_view text, size_t begin) {
  if (begin == 0) return true;
  if (IsWordByte(text[begin - 1])) return false;
  return !(text[begin - 1] == '.' && begin >= 2 && IsDigitAt(text, begin - 2) &&
           IsDigitAt(text, begin));
}

bool BoundaryAfter(std::string_view text, size_t end) {
  if (end >= text.size()) return true;
  if (IsWordByte(text[end])) return false;
  return !(text[end] == '.' && IsDigitAt(text, end - 1) && IsDigitAt(text, end + 1));
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  absl::AsciiStrToLower(&lower);
  return lower;
}

std::string WithoutSpace(std::string_view text) {
  std::string packed;
  for (char c : text) {
    if (!absl::ascii_isspace(c)) packed.push_back(c);
  }
  return packed;
}

bool GradeNumber(const Question& question, std::string_view reply) {
  const std::optional<double> said = LastNumber(reply);
  double wanted = 0;
  return said && absl::SimpleAtod(question.accepted[0], &wanted) &&
         std::abs(*said - wanted) <= 1e-6 * std::max(1.0, std::abs(wanted));
}

bool GradeContains(const Question& question, std::string_view reply) {
  for (const std::string& phrase : question.accepted) {
    if (FindWhole(reply, phrase) != std::string_view::npos) return true;
  }
  return false;
}

bool GradeLabel(const Question& question, std::string_view reply) {
  size_t first = std::string_view::npos;
  const std::string* said = nullptr;
  for (const std::string& label : question.labels) {
    const size_t at = FindWhole(reply, label);
    if (at < first) {
      first = at;
      said = &label;
    }
  }
  return said != nullptr && *said == question.accepted[0];
}

bool GradeCode(const Question& question, std::string_view reply) {
  const std::string packed = WithoutSpace(reply);
  for (const std::string& piece : question.accepted) {
    if (packed.find(WithoutSpace(piece)) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

size_t FindWhole(std::string_view text, std::string_view phrase) {
  if (phrase.empty()) return std::string_view::npos;
  const std::string lower_text = Lower(text);
  const std::string lower_phrase = Lower(phrase);
  for (size_t at = lower_text.find(lower_phrase); at != std::string::npos;
       at = lower_text.find(lower_phrase, at + 1)) {
    if (BoundaryBefore(text, at) && BoundaryAfter(text, at + phrase.size())) return at;
  }
  return std::string_view::npos;
}

std::optional<double> LastNumber(std::string_view text) {
  std::optional<double> last;
  for (size_t i = 0; i < text.size();) {
    if (!absl::ascii_isdigit(text[i])) {
      ++i;
      continue;
    }
    const bool negative = i > 0 && text[i - 1] == '-' && (i < 2 || !IsWordByte(text[i - 2]));
    std::string digits(negative ? "-" : "");
    bool point = false;
    for (; i < text.size(); ++i) {
      if (absl::ascii_isdigit(text[i])) {
        digits.push_back(text[i]);
      } else if (text[i] == '.' && !point && IsDigitAt(text, i + 1)) {
        digits.push_back('.');
        point = true;
      } else if (!(text[i] == ',' && IsDigitAt(text, i + 1) && IsDigitAt(text, i + 2) &&
                   IsDigitAt(text, i + 3) && !IsDigitAt(text, i + 4))) {
        break;
      }
    }
    double value = 0;
    if (absl::SimpleAtod(digits, &value)) last = value;
  }
  return last;
}

double Grade(const Question& question, std::string_view reply) {
  switch (question.metric) {
    case Metric::kNumber:
      return GradeNumber(question, reply) ? 1 : 0;
    case Metric::kContains:
      return GradeContains(question, reply) ? 1 : 0;
    case Metric::kLabel:
      return GradeLabel(question, reply) ? 1 : 0;
    case Metric::kCode:
      return GradeCode(question, reply) ? 1 : 0;
  }
  return 0;
}

}  // namespace nearfar
