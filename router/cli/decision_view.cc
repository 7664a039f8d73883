// See decision_view.h.

#include "router/cli/decision_view.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "router/cli/table.h"
#include "router/internal/record_json.h"

namespace nearfar::cli {
namespace {

const char* TaintText(Taint taint) {
  switch (taint) {
    case Taint::kTurn:
      return "this turn stays on the device";
    case Taint::kSession:
      return "this conversation stays on the device";
    case Taint::kNone:
      break;
  }
  return "";
}

std::string Head(const Decision& decision, const Terminal& terminal) {
  std::string text;
  const auto line = [&](const char* name, const std::string& value) {
    if (!value.empty()) absl::StrAppendFormat(&text, "%-11s %s\n", name, value);
  };
  line("route", terminal.Painted(Paint::kBold, RouteText(decision)));
  line("reason", decision.detail.empty()
                     ? ReasonName(decision.reason)
                     : absl::StrCat(ReasonName(decision.reason), ": ", decision.detail));
  if (decision.confidence.has_value()) {
    line("confidence", absl::StrCat(ValueText(*decision.confidence, "probability"),
                                    " that the near answer is right"));
  }
  if (decision.score.has_value() && decision.threshold.has_value()) {
    line("score",
         absl::StrFormat("%.6g against the threshold %.6g", *decision.score, *decision.threshold));
  }
  line("privacy", TaintText(decision.taint));
  if (decision.flagged) line("flagged", "the policy wanted another route but could not take it");
  return text;
}

}  // namespace

std::string RouteText(const Decision& decision) {
  const bool targeted = !decision.target.empty() && decision.route == Route::kFar;
  return targeted ? absl::StrCat(RouteName(decision.route), " (", decision.target, ")")
                  : RouteName(decision.route);
}

std::string ValueText(double value, const std::string& unit) {
  if (unit == "usd") return absl::StrFormat("%s$%.6f", value < 0 ? "-" : "", std::fabs(value));
  if (unit == "probability") return absl::StrFormat("%.1f %%", 100 * value);
  if (unit == "s") return absl::StrFormat("%.3g s", value);
  const std::string number = absl::StrFormat("%.6g", value);
  return unit.empty() ? number : absl::StrCat(number, " ", unit);
}

std::string FormatDecision(const Decision& decision, const Terminal& terminal) {
  std::string text = Head(decision, terminal);
  if (!decision.terms.empty()) {
    Table terms({{"weighed"}, {"value", Table::Align::kRight}});
    for (const Term& term : decision.terms)
      terms.Add({term.name, ValueText(term.value, term.unit)});
    absl::StrAppend(&text, "\n", terms.Format(terminal.width()));
  }
  if (decision.flips.empty()) {
    absl::StrAppend(&text, "\nNo single number that was looked at would change the route.\n");
    return text;
  }
  Table flips({{"would change if"},
               {"now", Table::Align::kRight},
               {"flips at", Table::Align::kRight},
               {"to"}});
  for (const Flip& flip : decision.flips) {
    flips.Add({flip.input, ValueText(flip.current, flip.unit), ValueText(flip.flips_at, flip.unit),
               RouteName(flip.to)});
  }
  absl::StrAppend(&text, "\n", flips.Format(terminal.width()));
  return text;
}

void DecisionJson(const Decision& decision, internal::JsonWriter* json) {
  json->BeginObject();
  json->Field("route", RouteName(decision.route));
  json->Field("target", decision.target);
  json->Field("reason", ReasonName(decision.reason));
  json->Field("detail", decision.detail);
  json->Field("score", decision.score);
  json->Field("threshold", decision.threshold);
  json->Field("confidence", decision.confidence);
  json->Field("propensity", decision.propensity);
  json->Field("taint", internal::TaintName(decision.taint));
  json->Field("flagged", decision.flagged);
  json->Key("terms").BeginArray();
  for (const Term& term : decision.terms) {
    json->BeginObject();
    json->Field("name", term.name);
    json->Field("value", term.value);
    json->Field("unit", term.unit);
    json->EndObject();
  }
  json->EndArray();
  json->Key("flips").BeginArray();
  for (const Flip& flip : decision.flips) {
    json->BeginObject();
    json->Field("input", flip.input);
    json->Field("current", flip.current);
    json->Field("flips_at", flip.flips_at);
    json->Field("to", RouteName(flip.to));
    json->Field("unit", flip.unit);
    json->EndObject();
  }
  json->EndArray();
  json->EndObject();
}

}  // namespace nearfar::cli
