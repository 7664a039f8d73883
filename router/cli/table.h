// A plain-text table that fits a terminal: columns of display width, text cut where it must be,
// right-aligned cells (numbers) never.
// One caller at a time. Held by tests/router/cli/table_test.cc.

#ifndef NEARFAR_ROUTER_CLI_TABLE_H_
#define NEARFAR_ROUTER_CLI_TABLE_H_

#include <string>
#include <string_view>
#include <vector>

namespace nearfar::cli {

// Columns that `text` takes on a terminal: wide East Asian characters take two, combining marks
// none.
int DisplayWidth(std::string_view text);

// `text` on one line (line breaks become spaces) and cut to `columns`, with "…" where cut.
std::string Fit(std::string_view text, int columns);

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
    int most = 40;      // widest in columns
    bool rest = false;  // takes what the others leave of the width
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // One cell a column; missing ones are empty.
  void Add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }

  // Lines ending in "\n", none wider than `width` where that can be. The heading is underlined.
  std::string Format(int width) const;

 private:
  std::vector<int> Widths(int width) const;
  // Takes `excess` columns from the widest columns of text, as far as they have them.
  void Squeeze(int excess, std::vector<int>* widths) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_TABLE_H_
