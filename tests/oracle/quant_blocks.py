#!/usr/bin/env python3
"""Makes golden/quant_blocks.txt: what the peer's reference code makes of random blocks.

  block NAME <hex of one block> <hex of its decoded f32 weights, little-endian>
  rmse NAME <root mean square error of the peer's encoder on the values of random_values()>

Read by tests/local_engine/quant/golden_blocks_test.cc.
"""

import math
import os
import random
import struct

import peer_ggml

FORMATS = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"]
# Where the F16 fields of a block stand; all other bytes may be anything.
HALVES = {"F16": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
BLOCKS = 3
VALUES = 8192


def random_half(generator):
    """A finite F16, subnormals among them, small enough that no product overflows."""
    exponent = generator.choice([0, 0, 1, 5, 10, 12, 14, 15, 18])
    return struct.pack("<H", generator.randrange(2) << 15 | exponent << 10 | generator.randrange(1024))


def random_block(generator, fmt):
    block = bytearray(generator.randbytes(fmt.block_bytes))
    for at in HALVES.get(fmt.name, []):
        block[at:at + 2] = random_half(generator)
    if fmt.name == "BF16":
        block[1] = generator.choice([0x3c, 0xbf, 0x40, 0x00])  # no NaN
    return bytes(block)


def random_values(n):
    """The numbers of tests/local_engine/quant/golden_blocks_test.cc: splitmix64, four uniforms each."""
    state, values = 7, []
    mask = (1 << 64) - 1
    for _ in range(n):
        total = 0.0
        for _ in range(4):
            state = (state + 0x9E3779B97F4A7C15) & mask
            z = state
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
            z ^= z >> 31
            total += (z >> 11) * 2.0**-53 - 0.5
        values.append(struct.unpack("<f", struct.pack("<f", total))[0])
    return values


def main():
    generator = random.Random(20)
    values = random_values(VALUES)
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "golden", "quant_blocks.txt"), "w", encoding="ascii") as out:
        out.write("# Made by tests/oracle/quant_blocks.py with llama-cpp-python 0.3.36.\n")
        for name in FORMATS:
            fmt = peer_ggml.Format(name)
            for _ in range(BLOCKS):
                block = random_block(generator, fmt)
                weights = fmt.decode(block)
                out.write(f"block {name} {block.hex()} {struct.pack(f'<{len(weights)}f', *weights).hex()}\n")
            decoded = fmt.decode(fmt.encode(values))
            rmse = math.sqrt(sum((a - b) ** 2 for a, b in zip(values, decoded)) / len(values))
            out.write(f"rmse {name} {rmse:.9g}\n")


if __name__ == "__main__":
    main()
