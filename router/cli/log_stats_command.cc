// nearfar log stats: where the questions of a time went, what they cost and how long they took.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "router/cli/commands.h"
#include "router/cli/exit_codes.h"
#include "router/cli/log_door.h"
#include "router/cli/table.h"
#include "router/internal/json_writer.h"

namespace nearfar::cli {
namespace {

struct Group {
  int count = 0, flagged = 0, failed = 0;
  double cost_usd = 0;
  int64_t tokens = 0, egress_bytes = 0;
  std::vector<double> seconds;

  void Add(const LogRow& row) {
    ++count;
    flagged += row.flagged ? 1 : 0;
    failed += row.outcome == "finished" ? 0 : 1;
    cost_usd += row.cost_usd;
    tokens += row.near_tokens + row.far_tokens;
    egress_bytes += row.egress_bytes;
    seconds.push_back(row.seconds);
  }
};

// The q-quantile by the nearest rank; 0 of nothing.
double Quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<size_t>(q * values.size()))];
}

using Groups = std::map<std::pair<std::string, std::string>, Group>;

void AddRow(Table* table, const std::string& side, const std::string& reason, const Group& group,
            int all) {
  table->Add({side, reason, absl::StrCat(group.count),
              absl::StrFormat("%.0f %%", 100.0 * group.count / all), absl::StrCat(group.flagged),
              absl::StrCat(group.failed), absl::StrFormat("%.2f", Quantile(group.seconds, 0.5)),
              absl::StrFormat("%.2f", Quantile(group.seconds, 0.95)), absl::StrCat(group.tokens),
              absl::StrFormat("%.6f", group.cost_usd)});
}

void AddJson(internal::JsonWriter* json, const std::string& side, const std::string& reason,
             const Group& group) {
  json->BeginObject();
  json->Field("answered_by", side);
  json->Field("reason", reason);
  json->Field("count", group.count);
  json->Field("flagged", group.flagged);
  json->Field("failed", group.failed);
  json->Field("seconds_median", Quantile(group.seconds, 0.5));
  json->Field("seconds_p95", Quantile(group.seconds, 0.95));
  json->Field("tokens", group.tokens);
  json->Field("egress_bytes", group.egress_bytes);
  json->Field("cost_usd", group.cost_usd);
  json->EndObject();
}

class LogStatsCommand : public Command {
 public:
  void Declare(CLI::App* app) override {
    log_.Declare(app);
    app->add_option("--since", since_, "How far back: 90m, 24h, 720h")->capture_default_str();
    app->add_flag("--json", json_, "Print one JSON object");
  }

  int Run(Terminal* terminal) override {
    absl::Duration back;
    if (!absl::ParseDuration(since_, &back) || back <= absl::ZeroDuration()) {
      terminal->Error(absl::StrCat("--since: '", since_, "' is no time span (90m, 24h)"));
      return kExitUsage;
    }
    const auto log = log_.Open();
    if (!log.ok()) return terminal->Fail(log.status());
    const auto rows = (*log)->ReadSince(absl::Now() - back);
    if (!rows.ok()) return terminal->Fail(rows.status());
    Groups groups;
    Group all;
    for (const LogRow& row : *rows) {
      groups[{row.source.empty() ? "nobody" : row.source, row.reason}].Add(row);
      all.Add(row);
    }
    json_ ? PrintJson(groups, all, terminal) : PrintTable(groups, all, terminal);
    return kExitOk;
  }

 private:
  void PrintTable(const Groups& groups, const Group& all, Terminal* terminal) const {
    if (all.count == 0) {
      terminal->Note(absl::StrCat("no question in the last ", since_));
      return;
    }
    const auto right = Table::Align::kRight;
    Table table({{"answered by"},
                 {"reason"},
                 {"count", right},
                 {"share", right},
                 {"flagged", right},
                 {"failed", right},
                 {"s p50", right},
                 {"s p95", right},
                 {"tokens", right},
                 {"USD", right}});
    for (const auto& [key, group] : groups) AddRow(&table, key.first, key.second, group, all.count);
    AddRow(&table, "all", "", all, all.count);
    terminal->Print(table.Format(terminal->width()));
    terminal->Note(absl::StrCat(all.egress_bytes, " bytes of prompts left the device"));
  }

  void PrintJson(const Groups& groups, const Group& all, Terminal* terminal) const {
    internal::JsonWriter json;
    json.BeginObject();
    json.Field("since", since_);
    json.Key("all");
    AddJson(&json, "all", "", all);
    json.Key("groups").BeginArray();
    for (const auto& [key, group] : groups) AddJson(&json, key.first, key.second, group);
    json.EndArray();
    json.EndObject();
    terminal->Line(json.Take());
  }

  LogFlags log_;
  std::string since_ = "24h";
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeLogStatsCommand() { return std::make_unique<LogStatsCommand>(); }

}  // namespace nearfar::cli
