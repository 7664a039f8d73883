#include "router/daemon/listen_address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace nearfar::daemon {
namespace {

// What gRPC takes as it is in an address; it would read the rest as an escape, a query or a
// fragment, or take the whole for a name of DNS.
bool IsPlain(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         absl::StrContains("/-._~!$&'()*+,;=:@", c);
}

absl::StatusOr<ListenAddress> ParseUnix(const std::string& path) {
  if (path.size() < 2 || path[0] != '/') {
    return absl::InvalidArgumentError("a Unix socket needs an absolute path (unix:/run/x.sock)");
  }
  if (const auto odd = std::find_if_not(path.begin(), path.end(), IsPlain); odd != path.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the socket's path has a '", absl::CEscape(std::string(1, *odd)), "' at byte ",
        odd - path.begin(),
        ", which gRPC does not take as it is (use letters, digits and /-._~!$&'()*+,;=:@)"));
  }
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("the socket's path is longer than the ",
                                                   sizeof(sockaddr_un::sun_path) - 1,
                                                   " bytes that the system allows (shorten it)"));
  }
  ListenAddress address;
  address.grpc = absl::StrCat("unix:", path);
  address.unix_path = path;
  address.local = true;
  return address;
}

// A name would be listened on wherever DNS points at the time.
bool ReadHost(const std::string& host, bool brackets, bool* loopback) {
  in_addr v4;
  in6_addr v6;
  if (host == "localhost" && !brackets) {
    *loopback = true;
    return true;
  }
  if (!brackets && inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    *loopback = (ntohl(v4.s_addr) >> 24) == 127;
    return true;
  }
  if (brackets && inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    *loopback = IN6_IS_ADDR_LOOPBACK(&v6);
    return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<ListenAddress> ParseListenAddress(const std::string& text) {
  if (absl::StartsWith(text, "unix:")) return ParseUnix(text.substr(5));
  const size_t colon = text.rfind(':');
  ListenAddress address;
  if (colon == std::string::npos || !absl::SimpleAtoi(text.substr(colon + 1), &address.port) ||
      address.port < 0 || address.port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is neither unix:/path nor HOST:PORT (as 127.0.0.1:7443)"));
  }
  address.host = text.substr(0, colon);
  const bool brackets =
      address.host.size() > 2 && address.host.front() == '[' && address.host.back() == ']';
  if (brackets) address.host = address.host.substr(1, address.host.size() - 2);
  if (!ReadHost(address.host, brackets, &address.local)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text,
                     "' names no IP address of this machine (as 127.0.0.1:7443, [::1]:7443, "
                     "or 0.0.0.0:7443 for all)"));
  }
  // Where IPv6 is off, "localhost" must not fail because of it.
  address.grpc = address.host == "localhost" ? absl::StrCat("127.0.0.1:", address.port) : text;
  return address;
}

}  // namespace nearfar::daemon
