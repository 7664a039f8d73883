#include "tests/testing/certs.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "gtest/gtest.h"

namespace nearfar::testing {

std::string ReadWholeFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TestCerts MakeTestCerts(const std::string& folder) {
  const std::string command =
      std::string(NEARFAR_SOURCE_DIR "/scripts/make_certs.sh '") + folder + "' >/dev/null";
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  TestCerts certs;
  certs.folder = folder;
  certs.ca = ReadWholeFile(folder + "/ca.crt");
  certs.server_crt = ReadWholeFile(folder + "/server.crt");
  certs.server_key = ReadWholeFile(folder + "/server.key");
  certs.client_crt = ReadWholeFile(folder + "/client.crt");
  certs.client_key = ReadWholeFile(folder + "/client.key");
  return certs;
}

}  // namespace nearfar::testing
