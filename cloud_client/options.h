// How one far target is reached. Plain values; secrets are already resolved here and never printed.

#ifndef NEARFAR_CLOUD_CLIENT_OPTIONS_H_
#define NEARFAR_CLOUD_CLIENT_OPTIONS_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace nearfar {

// PEM texts, not paths.
struct CloudTls {
  std::string root_certificates;  // empty = the system's
  std::string certificate_chain;  // empty = no client certificate
  std::string private_key;
  std::string server_name;  // checked instead of the target's host, where not empty
};

struct CloudOptions {
  std::string name;                  // of the target, for messages
  std::string protocol = "nearfar";  // a name of AllProtocols()
  std::string target;                // "dns:///host:port", "unix:/path"
  std::optional<CloudTls> tls;       // absent = plaintext (the caller has checked that it may)
  std::string model;                 // asked for; empty = the server's own
  std::string api_key;               // bearer token; empty = none
  double input_usd_per_mtok = 0;
  double output_usd_per_mtok = 0;

  // Keepalive finds half-open connections; a stock gRPC server tolerates one ping in 5 minutes, our
  // own one in 10 s.
  absl::Duration keepalive_time = absl::Seconds(20);
  absl::Duration keepalive_timeout = absl::Seconds(10);
  absl::Duration connect_timeout = absl::Seconds(5);
  int64_t max_message_bytes = 4 << 20;

  // Before the first token only: UNAVAILABLE and RESOURCE_EXHAUSTED with push-back.
  int retry_attempts = 3;  // including the first
  absl::Duration retry_base = absl::Milliseconds(100);
  absl::Duration retry_cap = absl::Seconds(1);

  // Breaker: opens after this many failures in a row, tries one call after `breaker_open`, doubling
  // up to the cap while probes fail.
  int breaker_failures = 3;
  absl::Duration breaker_open = absl::Seconds(5);
  absl::Duration breaker_open_cap = absl::Minutes(1);

  std::function<absl::Time()> clock = [] { return absl::Now(); };
  std::function<double()> uniform;  // [0, 1), for jitter; empty = a seeded generator
  // Calls `done` after `delay`; returns at once. Empty = a timer of gRPC's.
  std::function<void(absl::Duration delay, std::function<void()> done)> after;
};

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_OPTIONS_H_
