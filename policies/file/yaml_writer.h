// Writes a message as YAML: block maps, scalars, and flow lists broken into lines; what
// policies/yaml_bridge.h reads back to the same message. Held by
// tests/policies/policy_file_test.cc.

#ifndef NEARFAR_POLICIES_FILE_YAML_WRITER_H_
#define NEARFAR_POLICIES_FILE_YAML_WRITER_H_

#include <string>

#include "google/protobuf/message.h"

namespace nearfar::policy_file {

std::string WriteYaml(const google::protobuf::Message& message);

}  // namespace nearfar::policy_file

#endif  // NEARFAR_POLICIES_FILE_YAML_WRITER_H_
