// Llama 2 and 3, SmolLM2, Mistral and kin (Touvron et al., "LLaMA", 2023): GGUF files of this
// family hold q and k with their rows reordered, so that rope rotates neighbours.

#include "local_engine/model/arch/architectures.h"

namespace nearfar {

const Architecture kLlamaArchitecture = {
    .name = "llama",
    .rope_pairing = RopePairing::kInterleaved,
    .qkv_bias = Presence::kOptional,
    .rope_factors = Presence::kOptional,
};

}  // namespace nearfar
