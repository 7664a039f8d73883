// Kernels live from their smallest functions being part of the loop around them, in every build:
// a call spills all vector registers. The compiler's own estimate gives up on long decoders.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_INLINE_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_INLINE_H_

#define NEARFAR_INLINE inline __attribute__((always_inline))
// The same for a lambda, after its parameters.
#define NEARFAR_LAMBDA_INLINE __attribute__((always_inline))
// For the functions that hold a hot loop: their registers are theirs alone.
#define NEARFAR_NOINLINE __attribute__((noinline))

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_INLINE_H_
