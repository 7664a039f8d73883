// nearfar log show: the last decisions, newest first.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "router/cli/commands.h"
#include "router/cli/exit_codes.h"
#include "router/cli/log_door.h"
#include "router/cli/table.h"
#include "router/internal/json_writer.h"

namespace nearfar::cli {
namespace {

std::string SourceText(const LogRow& row) {
  if (row.source.empty() || row.source == "near") return row.source;
  return absl::StrCat("far:", row.source);
}

std::string NoteText(const LogRow& row) {
  std::string note = row.outcome == "finished" ? "" : row.outcome;
  const auto add = [&](const std::string& word) {
    absl::StrAppend(&note, note.empty() ? "" : ", ", word);
  };
  if (row.flagged) add(absl::StrCat("flagged: ", row.flag_reason));
  if (row.tainted) add("tainted");
  return note;
}

class LogShowCommand : public Command {
 public:
  void Declare(CLI::App* app) override {
    log_.Declare(app);
    app->add_option("--limit", limit_, "Most rows to print")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
    app->add_flag("--json", json_, "Print each record whole, one JSON object a line");
  }

  int Run(Terminal* terminal) override {
    const auto log = log_.Open();
    if (!log.ok()) return terminal->Fail(log.status());
    const auto rows = (*log)->Read(limit_);
    if (!rows.ok()) return terminal->Fail(rows.status());
    if (json_) {
      for (const LogRow& row : *rows) terminal->Line(row.record_json);
      return kExitOk;
    }
    if (rows->empty()) {
      terminal->Note("the log is empty");
      return kExitOk;
    }
    terminal->Print(FormatRows(*rows).Format(terminal->width()));
    return kExitOk;
  }

 private:
  static Table FormatRows(const std::vector<LogRow>& rows) {
    Table table({{"time", Table::Align::kRight},
                 {"route"},
                 {"reason"},
                 {"answered by", Table::Align::kLeft, 20},
                 {"conf.", Table::Align::kRight},
                 {"tokens", Table::Align::kRight},
                 {"s", Table::Align::kRight},
                 {"USD", Table::Align::kRight},
                 {"note", Table::Align::kLeft, 40, true}});
    for (const LogRow& row : rows) {
      table.Add({absl::FormatTime("%m-%d %H:%M:%S", row.time, absl::LocalTimeZone()), row.route,
                 row.reason, SourceText(row),
                 row.confidence.has_value() ? absl::StrFormat("%.2f", *row.confidence) : "-",
                 absl::StrCat(row.near_tokens + row.far_tokens),
                 absl::StrFormat("%.2f", row.seconds), absl::StrFormat("%.6f", row.cost_usd),
                 NoteText(row)});
    }
    return table;
  }

  LogFlags log_;
  int limit_ = 20;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeLogShowCommand() { return std::make_unique<LogShowCommand>(); }

}  // namespace nearfar::cli
