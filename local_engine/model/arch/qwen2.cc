// Qwen2 and Qwen2.5 (Yang et al., "Qwen2 Technical Report", 2024): biases on q, k and v; rope
// rotates number i of a head with number i + width / 2.

#include "local_engine/model/arch/architectures.h"

namespace nearfar {

const Architecture kQwen2Architecture = {
    .name = "qwen2",
    .rope_pairing = RopePairing::kHalfSplit,
    .qkv_bias = Presence::kRequired,
    .rope_factors = Presence::kOptional,
};

}  // namespace nearfar
