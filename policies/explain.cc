// Each input that is a number is a dial: where it stands, how far it turns, and how to set it. A
// dial is turned outward from where it stands, in growing steps, until the route changes; bisection
// then finds the edge. The decision is taken by the same Choose or Reconsider as the live one, so
// nothing is reported that the policy would not do.
#include "policies/explain.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"

namespace nearfar {
namespace {

constexpr int kSteps = 24;  // outward, each half as long again as the one before
constexpr double kGrowth = 1.5;
constexpr int kBisections = 48;

struct Dial {
  std::string input;
  std::string unit;
  double current = 0;
  double low = 0, high = 1;
  bool whole = false;  // counts: whole numbers only
  // Exactly one of the two is set.
  std::function<void(double, Signals*)> set_signal;
  std::function<void(double, PolicyConfig*)> set_policy;
};

Decision Decide(const Policy& policy, const Signals& signals) {
  return signals.draft ? policy.Reconsider(signals) : policy.Choose(signals);
}

// The route with the dial at x; empty where the policy would be invalid.
std::optional<Route> RouteAt(const Dial& dial, double x, const Policy& policy,
                             const Signals& signals) {
  if (dial.set_signal) {
    Signals changed = signals;
    dial.set_signal(x, &changed);
    return Decide(policy, changed).route;
  }
  PolicyConfig config = policy.config();
  dial.set_policy(x, &config);
  const auto changed = MakePolicy(std::move(config));
  if (!changed.ok()) return std::nullopt;
  return Decide(**changed, signals).route;
}

// Narrows (same, flipped) until both are neighbours; returns the flipped side.
double Bisect(const Dial& dial, double same, double flipped, Route route, const Policy& policy,
              const Signals& signals) {
  for (int i = 0; i < kBisections; ++i) {
    double middle = same + (flipped - same) / 2;
    if (dial.whole) middle = std::round(middle);
    if (middle == same || middle == flipped) break;
    // Ten significant digits tell people all there is.
    if (std::abs(flipped - same) <= 1e-10 * std::max(std::abs(same), std::abs(flipped))) break;
    (RouteAt(dial, middle, policy, signals) == route ? same : flipped) = middle;
  }
  return flipped;
}

// The nearest change in one direction (+1 or -1), if there is one.
std::optional<Flip> FlipToward(const Dial& dial, int direction, Route route, const Policy& policy,
                               const Signals& signals) {
  const double end = direction > 0 ? dial.high : dial.low;
  const double span = std::abs(end - dial.current);
  if (span == 0) return std::nullopt;
  double step = span * (kGrowth - 1) / std::pow(kGrowth, kSteps);
  double same = dial.current;
  for (int i = 0; i <= kSteps && same != end; ++i, step *= kGrowth) {
    double next = i == kSteps ? end : same + direction * step;
    if (dial.whole) next = direction > 0 ? std::ceil(next) : std::floor(next);
    next = std::clamp(next, dial.low, dial.high);
    const std::optional<Route> now = RouteAt(dial, next, policy, signals);
    if (!now) return std::nullopt;
    if (*now != route) {
      const double at = Bisect(dial, same, next, route, policy, signals);
      return Flip{dial.input, dial.current, at, *RouteAt(dial, at, policy, signals), dial.unit};
    }
    same = next;
  }
  return std::nullopt;
}

double Distance(const Flip& flip) {
  const double scale = std::abs(flip.current) + std::abs(flip.flips_at);
  return scale > 0 ? std::abs(flip.flips_at - flip.current) / scale : 0;
}

std::optional<Flip> NearestFlip(const Dial& dial, Route route, const Policy& policy,
                                const Signals& signals) {
  if (!(dial.current >= dial.low && dial.current <= dial.high)) return std::nullopt;
  // Setting the input to what it is may itself change the route: an application's P(near right)
  // judges drafts that the calibration cannot. Such a dial tells of no change.
  if (RouteAt(dial, dial.current, policy, signals) != route) return std::nullopt;
  const std::optional<Flip> up = FlipToward(dial, 1, route, policy, signals);
  const std::optional<Flip> down = FlipToward(dial, -1, route, policy, signals);
  if (!up || !down) return up ? up : down;
  return std::abs(up->flips_at - up->current) <= std::abs(down->flips_at - down->current) ? up
                                                                                          : down;
}

// --- the dials -----------------------------------------------------------------------------------

void AddBudgetDials(const Signals& signals, std::vector<Dial>* dials) {
  if (const auto remaining = signals.budget.remaining_usd()) {
    dials->push_back(
        {"budget.remaining_usd", "usd", *remaining, 0, std::max(1.0, 10 * *remaining), false,
         [](double x, Signals* s) { s->budget.limit_usd = s->budget.spent_usd + x; }, nullptr});
  }
  dials->push_back({"budget.pacing_price", "", signals.budget.pacing_price, 1, 1000, false,
                    [](double x, Signals* s) { s->budget.pacing_price = x; }, nullptr});
}

void AddDeviceDials(const DeviceSignals& device, std::vector<Dial>* dials) {
  if (device.battery) {
    dials->push_back({"device.battery", "", *device.battery, 0, 1, false,
                      [](double x, Signals* s) { s->device.battery = x; }, nullptr});
  }
  if (device.cpu_load) {
    dials->push_back({"device.cpu_load", "", *device.cpu_load, 0, 16, false,
                      [](double x, Signals* s) { s->device.cpu_load = x; }, nullptr});
  }
}

void AddPromptDials(const Signals& signals, std::vector<Dial>* dials) {
  if (!signals.prompt.tokens) return;
  dials->push_back(
      {"prompt.tokens", "tokens", static_cast<double>(*signals.prompt.tokens), 1, 1 << 20, true,
       [](double x, Signals* s) { s->prompt.tokens = static_cast<int64_t>(x); }, nullptr});
}

void AddNearDials(const Signals& signals, const Decision& decision, std::vector<Dial>* dials) {
  const bool mid_draft = signals.draft && !signals.draft->finished;
  if (decision.confidence && !mid_draft) {
    dials->push_back({"near.p_right", "probability", *decision.confidence, 0, 1, false,
                      [](double x, Signals* s) { s->near.p_right = x; }, nullptr});
  }
  if (signals.near.decode_tokens_per_second) {
    dials->push_back({"near.decode_tokens_per_second", "tokens/s",
                      *signals.near.decode_tokens_per_second, 0.1, 10000, false,
                      [](double x, Signals* s) { s->near.decode_tokens_per_second = x; }, nullptr});
  }
}

void AddFarDials(const Signals& signals, std::vector<Dial>* dials) {
  for (size_t i = 0; i < signals.far.size(); ++i) {
    const FarSignals& far = signals.far[i];
    const std::string at = absl::StrCat("far.", far.name, ".");
    const double high = 1000;
    dials->push_back({at + "ttft_seconds", "s", far.ttft_seconds, 0, 600, false,
                      [i](double x, Signals* s) { s->far[i].ttft_seconds = x; }, nullptr});
    dials->push_back({at + "input_usd_per_mtok", "usd", far.input_usd_per_mtok, 0, high, false,
                      [i](double x, Signals* s) { s->far[i].input_usd_per_mtok = x; }, nullptr});
    dials->push_back({at + "output_usd_per_mtok", "usd", far.output_usd_per_mtok, 0, high, false,
                      [i](double x, Signals* s) { s->far[i].output_usd_per_mtok = x; }, nullptr});
  }
}

void AddPolicyDials(const PolicyConfig& config, std::vector<Dial>* dials) {
  const auto add = [&](std::string input, std::string unit, double current, double low, double high,
                       std::function<void(double, PolicyConfig*)> set) {
    dials->push_back(
        {std::move(input), std::move(unit), current, low, high, false, nullptr, std::move(set)});
  };
  if (config.choose.kind == PolicyKind::kThreshold) {
    add("policy.threshold", "probability", config.choose.threshold, 0, 1,
        [](double x, PolicyConfig* c) { c->choose.threshold = x; });
  }
  if (config.choose.kind == PolicyKind::kNetValue) {
    add("policy.margin_usd", "usd", config.choose.margin_usd, -1, 1,
        [](double x, PolicyConfig* c) { c->choose.margin_usd = x; });
  }
  if (config.draft.min_confidence) {
    add("policy.min_confidence", "probability", *config.draft.min_confidence, 0, 1,
        [](double x, PolicyConfig* c) { c->draft.min_confidence = x; });
  }
  if (config.device.battery_floor > 0) {
    add("policy.battery_floor", "", config.device.battery_floor, 0, 1,
        [](double x, PolicyConfig* c) { c->device.battery_floor = x; });
  }
  add("policy.right_answer_usd", "usd", config.value.right_answer_usd, 0,
      std::max(1.0, 1000 * config.value.right_answer_usd),
      [](double x, PolicyConfig* c) { c->value.right_answer_usd = x; });
  add("policy.second_usd", "usd", config.value.second_usd, 0,
      std::max(0.1, 1000 * config.value.second_usd),
      [](double x, PolicyConfig* c) { c->value.second_usd = x; });
}

}  // namespace

Decision Explain(const Policy& policy, const Signals& signals) {
  Decision decision = Decide(policy, signals);
  std::vector<Dial> dials;
  AddNearDials(signals, decision, &dials);
  AddPolicyDials(policy.config(), &dials);
  AddBudgetDials(signals, &dials);
  AddDeviceDials(signals.device, &dials);
  AddPromptDials(signals, &dials);
  AddFarDials(signals, &dials);
  for (const Dial& dial : dials) {
    if (auto flip = NearestFlip(dial, decision.route, policy, signals)) {
      decision.flips.push_back(*std::move(flip));
    }
  }
  std::stable_sort(decision.flips.begin(), decision.flips.end(),
                   [](const Flip& a, const Flip& b) { return Distance(a) < Distance(b); });
  return decision;
}

}  // namespace nearfar
