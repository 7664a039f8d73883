// A plugin of qemu's TCG that counts the instructions which a 64-bit Arm program executes: by
// function, and those of the two kinds that quantized products are made of.
//
//   c++ -std=c++20 -O2 -fPIC -shared count_instructions.cc -o count_instructions.so
//   qemu-aarch64 -plugin ./count_instructions.so,out=FILE PROGRAM ...
//
// FILE gets lines "N<tab>kind<tab>NAME" and "N<tab>function<tab>SYMBOL". Functions of shared
// libraries have no name here and are counted together. Counters are plain memory: a program whose
// threads run side by side would lose some. scripts/bench_arm.sh builds and runs it.
//
// qemu installs no header for plugins, so what is used of its interface (version 1, qemu 4.2 to 8)
// is declared here.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>

// ---- The interface: names and types are qemu's.

extern "C" {

using qemu_plugin_id_t = uint64_t;
struct qemu_plugin_tb;    // a block of instructions without a branch into or out of it
struct qemu_plugin_insn;  // one of them
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

size_t qemu_plugin_tb_n_insns(const qemu_plugin_tb* block);
qemu_plugin_insn* qemu_plugin_tb_get_insn(const qemu_plugin_tb* block, size_t index);
const void* qemu_plugin_insn_data(const qemu_plugin_insn* instruction);
const char* qemu_plugin_insn_symbol(const qemu_plugin_insn* instruction);  // or null
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*translated)(qemu_plugin_id_t, qemu_plugin_tb*));
// Adds `amount` to *counter whenever the block is executed.
void qemu_plugin_register_vcpu_tb_exec_inline(qemu_plugin_tb* block, qemu_plugin_op operation,
                                              void* counter, uint64_t amount);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*ended)(qemu_plugin_id_t, void*),
                                    void* data);

__attribute__((visibility("default"))) extern const int qemu_plugin_version = 1;

}  // extern "C"

namespace {

// ---- Counters. A map's elements stay where they are, which qemu's own code relies on.

using Counters = std::map<std::string, uint64_t>;
Counters kinds, functions;
std::string out_path;

// ---- Kinds.

struct Encoding {
  const char* kind;
  uint32_t mask, bits;
};
// As in the Arm Architecture Reference Manual (DDI 0487): of vectors and by element, NEON and SVE.
constexpr Encoding kEncodings[] = {
    {"sdot", 0xffe0fc00, 0x4e809400},  {"sdot", 0xffc0f400, 0x4f80e000},
    {"sdot", 0xffe0fc00, 0x44800000},  {"sdot", 0xffe0fc00, 0x44a00000},
    {"smmla", 0xffe0fc00, 0x4e80a400}, {"smmla", 0xffe0fc00, 0x45009800},
};

const char* KindOf(uint32_t word) {
  for (const Encoding& encoding : kEncodings) {
    if ((word & encoding.mask) == encoding.bits) return encoding.kind;
  }
  return "other";
}

// ---- Callbacks.

void CountBlock(qemu_plugin_id_t, qemu_plugin_tb* block) {
  std::map<uint64_t*, uint64_t> amounts;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); ++i) {
    const qemu_plugin_insn* instruction = qemu_plugin_tb_get_insn(block, i);
    uint32_t word;
    std::memcpy(&word, qemu_plugin_insn_data(instruction), sizeof(word));
    const char* symbol = qemu_plugin_insn_symbol(instruction);
    ++amounts[&kinds[KindOf(word)]];
    ++amounts[&functions[symbol != nullptr ? symbol : "(shared libraries)"]];
  }
  for (const auto& [counter, amount] : amounts) {
    qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, counter, amount);
  }
}

void Write(std::FILE* file, const char* what, const Counters& counters) {
  for (const auto& [name, count] : counters) {
    std::fprintf(file, "%llu\t%s\t%s\n", static_cast<unsigned long long>(count), what,
                 name.c_str());
  }
}

void WriteAll(qemu_plugin_id_t, void*) {
  std::FILE* file = std::fopen(out_path.c_str(), "w");
  if (file == nullptr) {
    std::fprintf(stderr, "count_instructions: cannot write %s\n", out_path.c_str());
    return;
  }
  Write(file, "kind", kinds);
  Write(file, "function", functions);
  std::fclose(file);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id,
                                                                          const void*, int count,
                                                                          char** arguments) {
  for (int i = 0; i < count; ++i) {
    if (std::strncmp(arguments[i], "out=", 4) == 0) out_path = arguments[i] + 4;
  }
  if (out_path.empty()) {
    std::fputs("count_instructions: needs out=FILE\n", stderr);
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, CountBlock);
  qemu_plugin_register_atexit_cb(id, WriteAll, nullptr);
  return 0;
}
