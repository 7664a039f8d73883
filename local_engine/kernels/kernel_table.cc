#include "local_engine/kernels/kernel_table.h"

#include <cassert>

namespace nearfar {

const FormatKernel* FindFormatKernel(const KernelTable& table, DType dtype) {
  for (const FormatKernel& entry : table.formats) {
    if (entry.matmul == nullptr) return nullptr;
    if (entry.dtype == dtype) return &entry;
  }
  return nullptr;
}

const KvKernel& FindKvKernel(const KernelTable& table, DType type) {
  for (const KvKernel& entry : table.kv) {
    if (entry.type == type) return entry;
  }
  assert(false);
  return table.kv[0];
}

}  // namespace nearfar
