// A far side that is there and says nothing: a port whose connections a test takes, keeps waiting
// or lets drop.

#ifndef NEARFAR_TESTS_TESTING_HELD_PORT_H_
#define NEARFAR_TESTS_TESTING_HELD_PORT_H_

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace nearfar::testing {

// A port of loopback that is open, and says nothing.
class HeldPort {
 public:
  explicit HeldPort(int type) : fd_(socket(AF_INET, type, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address_);
    bind(fd_, reinterpret_cast<sockaddr*>(&address_), size);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address_), &size);
    if (type == SOCK_STREAM) listen(fd_, 0);
  }
  HeldPort(const HeldPort&) = delete;
  ~HeldPort() {
    for (int peer : peers_) close(peer);
    close(fd_);
  }
  // From here on connections are not even taken: their first packets are dropped.
  void FillQueue() {
    for (int i = 0; i < 4; ++i) {
      peers_.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
      (void)connect(peers_.back(), reinterpret_cast<sockaddr*>(&address_), sizeof(address_));
    }
  }
  // The next connection, once there is one: the caller's from here on.
  int Accept() { return accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); }
  std::string address() const { return absl::StrCat("127.0.0.1:", ntohs(address_.sin_port)); }

 private:
  const int fd_;
  sockaddr_in address_ = {};
  std::vector<int> peers_;
};

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_TESTING_HELD_PORT_H_
