// Dumps the engine's logits for given token ids, for tests/oracle/kl.py.
//
//   oracle_logits --model FILE --ids FILE --out FILE [--kernels NAME] [--kv-type NAME]
//                 [--threads N]
//
// The ids file has one sequence a line, ids separated by spaces; each is computed from an empty
// context. The output is raw little-endian f32, [ids of all sequences, vocabulary]. Exit codes
// follow sysexits.h.

#include <sysexits.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "local_engine/engine.h"

namespace nearfar {
namespace {

constexpr char kUsage[] =
    "usage: oracle_logits --model FILE --ids FILE --out FILE [--kernels NAME] [--kv-type NAME] "
    "[--threads N]\n";

struct Arguments {
  std::string model;
  std::string ids;
  std::string out;
  EngineOptions options;
};

bool ParseArguments(int argc, char** argv, Arguments* arguments) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--model") {
      arguments->model = value;
    } else if (name == "--ids") {
      arguments->ids = value;
    } else if (name == "--out") {
      arguments->out = value;
    } else if (name == "--kernels") {
      arguments->options.kernels = value;
    } else if (name == "--kv-type") {
      arguments->options.kv_type = value;
    } else if (name == "--threads") {
      arguments->options.threads = std::atoi(value.c_str());
    } else {
      return false;
    }
  }
  return argc % 2 == 1 && !arguments->model.empty() && !arguments->ids.empty() &&
         !arguments->out.empty();
}

std::vector<std::vector<int32_t>> ReadIds(const std::string& path) {
  std::vector<std::vector<int32_t>> sequences;
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::vector<int32_t> ids;
    for (int32_t id; words >> id;) ids.push_back(id);
    if (!ids.empty()) sequences.push_back(std::move(ids));
  }
  return sequences;
}

int Main(int argc, char** argv) {
  Arguments arguments;
  if (!ParseArguments(argc, argv, &arguments)) {
    std::fputs(kUsage, stderr);
    return EX_USAGE;
  }
  const std::vector<std::vector<int32_t>> sequences = ReadIds(arguments.ids);
  if (sequences.empty()) {
    std::cerr << "oracle_logits: no ids in " << arguments.ids << "\n";
    return EX_NOINPUT;
  }
  const auto engine = Engine::Open(arguments.model, arguments.options);
  if (!engine.ok()) {
    std::cerr << "oracle_logits: " << engine.status() << "\n";
    return EX_DATAERR;
  }
  std::cerr << "kernels " << (*engine)->info().kernels << ", " << (*engine)->info().threads
            << " threads\n";
  std::ofstream out(arguments.out, std::ios::binary | std::ios::trunc);
  for (const std::vector<int32_t>& ids : sequences) {
    const auto logits = (*engine)->Logits(ids);
    if (!logits.ok()) {
      std::cerr << "oracle_logits: " << logits.status() << "\n";
      return EX_DATAERR;
    }
    out.write(reinterpret_cast<const char*>(logits->data()),
              static_cast<std::streamsize>(logits->size() * sizeof(float)));
  }
  out.close();
  if (!out) {
    std::cerr << "oracle_logits: cannot write " << arguments.out << "\n";
    return EX_CANTCREAT;
  }
  return 0;
}

}  // namespace
}  // namespace nearfar

int main(int argc, char** argv) { return nearfar::Main(argc, argv); }
