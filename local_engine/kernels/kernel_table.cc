#include "local_engine/kernels/kernel_table.h"

namespace nearfar {

const FormatKernel* FindFormatKernel(const KernelTable& table, DType dtype) {
  for (const FormatKernel& entry : table.formats) {
    if (entry.matmul == nullptr) return nullptr;
    if (entry.dtype == dtype) return &entry;
  }
  return nullptr;
}

}  // namespace nearfar
