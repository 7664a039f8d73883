// The list of device signals. A new one is one file beside this and one line here.
// Held by tests/router/signals/signals_test.cc.

#include "router/signals/all_signals.h"

namespace nearfar {

std::vector<std::shared_ptr<SignalSource>> AllSignalSources(const std::string& root) {
  return {
      internal::MakeBatterySignal(root),
      internal::MakeThermalSignal(root),
      internal::MakeMemorySignal(root),
      internal::MakeCpuLoadSignal(root),
  };
}

}  // namespace nearfar
