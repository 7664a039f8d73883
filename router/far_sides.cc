#include "router/far_sides.h"

#include <optional>
#include <tuple>
#include <utility>

#include "absl/time/clock.h"
#include "router/cloud_backend.h"

namespace nearfar {
namespace {

bool SameTls(const std::optional<CloudTls>& a, const std::optional<CloudTls>& b) {
  const auto texts = [](const CloudTls& tls) {
    return std::tie(tls.root_certificates, tls.certificate_chain, tls.private_key, tls.server_name);
  };
  return a.has_value() == b.has_value() && (!a || texts(*a) == texts(*b));
}

// All that MakeCloudOptions takes from a policy and from the files that it names.
bool SameWay(const CloudOptions& a, const CloudOptions& b) {
  const auto fields = [](const CloudOptions& options) {
    return std::tie(options.name, options.protocol, options.target, options.model, options.api_key,
                    options.input_usd_per_mtok, options.output_usd_per_mtok, options.expected_ttft);
  };
  return fields(a) == fields(b) && SameTls(a.tls, b.tls);
}

}  // namespace

absl::StatusOr<FarSide> MakeFarSide(const FarConfig& config, const FarSides& before) {
  absl::StatusOr<CloudOptions> options = MakeCloudOptions(config, [] { return absl::Now(); });
  if (!options.ok()) return options.status();
  const auto known = before.find(config.name);
  if (known != before.end() && SameWay(known->second.options, *options)) return known->second;
  absl::StatusOr<std::shared_ptr<CloudClient>> client = CloudClient::Create(*options);
  if (!client.ok()) return client.status();
  return FarSide{*std::move(options), *std::move(client)};
}

absl::StatusOr<FarSides> MakeFarSides(const PolicyConfig& policy, const FarSides& before) {
  FarSides sides;
  for (const FarConfig& config : policy.far) {
    absl::StatusOr<FarSide> side = MakeFarSide(config, before);
    if (!side.ok()) return side.status();
    sides[config.name] = *std::move(side);
  }
  return sides;
}

std::map<std::string, std::shared_ptr<Backend>> BackendsOf(const FarSides& sides,
                                                           const PolicyConfig& policy) {
  std::map<std::string, std::shared_ptr<Backend>> backends;
  for (const FarConfig& config : policy.far) {
    backends[config.name] = MakeCloudBackend(sides.at(config.name).client, config);
  }
  return backends;
}

}  // namespace nearfar
