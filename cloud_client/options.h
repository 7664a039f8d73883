// How one far target is reached. Plain values; secrets are already resolved here and never printed.

#ifndef NEARFAR_CLOUD_CLIENT_OPTIONS_H_
#define NEARFAR_CLOUD_CLIENT_OPTIONS_H_

#include <chrono>
#include <cstdint>
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
  // How long one attempt to connect may take, in the background.
  absl::Duration connect_timeout = absl::Seconds(5);
  // How long a call waits for a connection that is not there yet. Shorter, so that near answers
  // soon where packets are dropped or a nameserver is silent, while the attempt goes on for later
  // calls.
  absl::Duration connect_patience = absl::Seconds(1);
  int64_t max_message_bytes = 4 << 20;

  // Before the first token only: what a living server refused (UNAVAILABLE, and RESOURCE_EXHAUSTED
  // with push-back). A push-back above the cap is not waited for.
  int retry_attempts = 3;  // including the first
  absl::Duration retry_base = absl::Milliseconds(100);
  absl::Duration retry_cap = absl::Seconds(1);

  // Breaker: opens after this many failures in a row, tries one call after `breaker_open`, doubling
  // up to the cap while probes fail.
  int breaker_failures = 3;
  absl::Duration breaker_open = absl::Seconds(5);
  absl::Duration breaker_open_cap = absl::Minutes(1);
  // The usual wait for the first text, until one was measured.
  absl::Duration expected_ttft = absl::Seconds(1);

  // The wall clock, which deadlines are told by.
  std::function<absl::Time()> clock = [] { return absl::Now(); };
  // What pauses and speeds are measured by: nobody sets it, and its zero means nothing.
  std::function<absl::Time()> steady = [] {
    return absl::UnixEpoch() +
           absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  };
  std::function<double()> uniform;  // [0, 1), for jitter; empty = a seeded generator
  // Calls `done` after `delay`; returns at once. Empty = a timer of gRPC's.
  std::function<void(absl::Duration delay, std::function<void()> done)> after;
};

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_OPTIONS_H_
