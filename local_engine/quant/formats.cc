// The list of formats. Held by tests/local_engine/quant/formats_test.cc: names and types are unique
// and each entry is tested.

#include "local_engine/quant/formats.h"

namespace nearfar {

extern const QuantFormat kF32Format, kF16Format, kBF16Format, kQ4_0Format, kQ4_1Format, kQ5_0Format,
    kQ5_1Format, kQ8_0Format, kQ4_KFormat, kQ5_KFormat, kQ6_KFormat;

absl::Span<const QuantFormat> AllFormats() {
  static const QuantFormat formats[] = {
      kF32Format,  kF16Format,  kBF16Format, kQ4_0Format, kQ4_1Format, kQ5_0Format,
      kQ5_1Format, kQ8_0Format, kQ4_KFormat, kQ5_KFormat, kQ6_KFormat,
  };
  return formats;
}

const QuantFormat* FindFormat(DType dtype) {
  for (const QuantFormat& format : AllFormats()) {
    if (format.dtype == dtype) return &format;
  }
  return nullptr;
}

}  // namespace nearfar
