// The factories of the sources in this folder; all_signals.cc lists them.

#ifndef NEARFAR_ROUTER_SIGNALS_ALL_SIGNALS_H_
#define NEARFAR_ROUTER_SIGNALS_ALL_SIGNALS_H_

#include <memory>
#include <string>

#include "router/signals/signal_source.h"

namespace nearfar::internal {

std::shared_ptr<SignalSource> MakeBatterySignal(const std::string& root);
std::shared_ptr<SignalSource> MakeThermalSignal(const std::string& root);
std::shared_ptr<SignalSource> MakeMemorySignal(const std::string& root);
std::shared_ptr<SignalSource> MakeCpuLoadSignal(const std::string& root);

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_SIGNALS_ALL_SIGNALS_H_
