// See table.h.

#include "router/cli/table.h"

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "router/internal/utf8.h"

namespace nearfar::cli {
namespace {

constexpr int kGap = 2;
constexpr int kNarrowGap = 1;
constexpr int kLeastRest = 16;
constexpr int kLeastText = 8;

struct Range {
  uint32_t first, last;
};

// Blocks of combining marks and joiners, and of wide characters (Unicode UAX #11, W and F, by
// block).
constexpr Range kNoWidth[] = {{0x300, 0x36F},   {0x483, 0x489},   {0x591, 0x5BD},
                              {0x610, 0x61A},   {0x64B, 0x65F},   {0x1AB0, 0x1AFF},
                              {0x1DC0, 0x1DFF}, {0x200B, 0x200F}, {0x20D0, 0x20FF},
                              {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}};
constexpr Range kWide[] = {{0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},
                           {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},
                           {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F},
                           {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};

template <size_t N>
bool In(const Range (&ranges)[N], uint32_t value) {
  return std::any_of(std::begin(ranges), std::end(ranges),
                     [&](const Range& r) { return r.first <= value && value <= r.last; });
}

int WidthOf(const internal::CodePoint& point) {
  if (point.kind != internal::CodePoint::Kind::kValid) return 1;  // shown as one U+FFFD
  if (point.value < 0x20 || In(kNoWidth, point.value)) return 0;
  return In(kWide, point.value) ? 2 : 1;
}

std::string OnOneLine(std::string_view text) {
  std::string line;
  bool space = false;
  for (char c : text) {
    if (c == '\n' || c == '\r' || c == '\t' || c == ' ') {
      space = !line.empty();
      continue;
    }
    if (space) line.push_back(' ');
    space = false;
    line.push_back(c);
  }
  return line;
}

std::string Padded(const std::string& cell, int width, Table::Align align, bool last) {
  const int missing = std::max(0, width - DisplayWidth(cell));
  const std::string spaces(missing, ' ');
  if (align == Table::Align::kRight) return absl::StrCat(spaces, cell);
  return last ? cell : absl::StrCat(cell, spaces);
}

}  // namespace

int DisplayWidth(std::string_view text) {
  int width = 0;
  for (size_t at = 0; at < text.size();) {
    const internal::CodePoint point = internal::FirstCodePoint(text.substr(at));
    width += WidthOf(point);
    at += point.length;
  }
  return width;
}

std::string Fit(std::string_view text, int columns) {
  const std::string line = OnOneLine(text);
  if (DisplayWidth(line) <= columns) return line;
  int width = 0;
  size_t at = 0;
  while (at < line.size()) {
    const internal::CodePoint point = internal::FirstCodePoint(std::string_view(line).substr(at));
    if (width + WidthOf(point) > columns - 1) break;
    width += WidthOf(point);
    at += point.length;
  }
  return absl::StrCat(line.substr(0, at), "…");
}

void Table::Add(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::vector<int> Table::Widths(int width) const {
  std::vector<int> widths;
  int used = 0;
  for (size_t c = 0; c < columns_.size(); ++c) {
    int widest = DisplayWidth(columns_[c].title);
    for (const auto& row : rows_) widest = std::max(widest, DisplayWidth(Fit(row[c], 1000)));
    widths.push_back(columns_[c].rest ? widest : std::min(widest, columns_[c].most));
    if (!columns_[c].rest) used += widths.back();
  }
  used += kGap * (static_cast<int>(columns_.size()) - 1);
  for (size_t c = 0; c < columns_.size(); ++c) {
    if (columns_[c].rest) widths[c] = std::min(widths[c], std::max(kLeastRest, width - used));
  }
  return widths;
}

void Table::Squeeze(int excess, std::vector<int>* widths) const {
  while (excess > 0) {
    int widest = -1;
    for (size_t c = 0; c < columns_.size(); ++c) {
      if (columns_[c].align == Align::kRight || (*widths)[c] <= kLeastText) continue;
      if (widest < 0 || (*widths)[c] > (*widths)[widest]) widest = static_cast<int>(c);
    }
    if (widest < 0) return;
    --(*widths)[widest];
    --excess;
  }
}

std::string Table::Format(int width) const {
  std::vector<int> widths = Widths(width);
  const int gaps = static_cast<int>(columns_.size()) - 1;
  const int text_width = std::accumulate(widths.begin(), widths.end(), 0);
  const int gap = text_width + gaps * kGap > width ? kNarrowGap : kGap;
  Squeeze(text_width + gaps * gap - width, &widths);
  std::string text;
  const auto add_row = [&](auto cell_of) {
    std::string line;
    for (size_t c = 0; c < columns_.size(); ++c) {
      const bool last = c + 1 == columns_.size();
      absl::StrAppend(&line, Padded(cell_of(c), widths[c], columns_[c].align, last));
      if (!last) line.append(gap, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&text, line, "\n");
  };
  add_row([&](size_t c) { return Fit(columns_[c].title, widths[c]); });
  add_row([&](size_t c) { return std::string(widths[c], '-'); });
  for (const auto& row : rows_) add_row([&](size_t c) { return Fit(row[c], widths[c]); });
  return text;
}

}  // namespace nearfar::cli
