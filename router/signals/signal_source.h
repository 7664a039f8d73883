// One source of device signals. A new one is one file beside this and one line in all_signals.cc.

#ifndef NEARFAR_ROUTER_SIGNALS_SIGNAL_SOURCE_H_
#define NEARFAR_ROUTER_SIGNALS_SIGNAL_SOURCE_H_

#include <memory>
#include <string>
#include <vector>

#include "policies/signals.h"

namespace nearfar {

// Thread-safe. Reads are cheap (small files of /sys and /proc) and never fail: what cannot be read
// stays unknown.
class SignalSource {
 public:
  virtual ~SignalSource() = default;
  virtual const char* name() const = 0;
  virtual void Read(DeviceSignals* signals) const = 0;
};

// battery, thermal, memory, cpu_load, each reading below `root` ("" = the real /sys and /proc;
// tests point it at a made-up tree).
std::vector<std::shared_ptr<SignalSource>> AllSignalSources(const std::string& root = "");

}  // namespace nearfar

#endif  // NEARFAR_ROUTER_SIGNALS_SIGNAL_SOURCE_H_
