#!/usr/bin/env python3
"""Turns the counts that scripts/bench_arm.sh collected into its table.

  arm_table.py FILE [--by-function], FILE has lines
  "model<TAB>cpu<TAB>kernels<TAB>case<TAB>tokens<TAB>counts of the shorter run<TAB>of the longer run"
  where counts are files of tests/bench/count_instructions.cc
"""

import argparse
import re
from collections import Counter

from arm_names import short_names

# Million instructions per token of llama.cpp (commit 3f545becc of 2026-08-22, gcc 12.2 -O3, one thread, its
# flash attention on), counted once in the same way on a model of SmolLM2-135M's shape: by the weights'
# type, and the instructions that it was built for.
PEER = {
    ("q4_0", "dotprod"): {"prefill": 17.99, "decode": 38.58},
    ("q4_0", "i8mm"): {"prefill": 15.53, "long-prefill": 27.58, "decode": 46.82, "deep-decode": 59.74},
    ("q4_0", "sve128"): {"prefill": 41.7, "decode": 46.56},
    ("q4_0", "sve256"): {"prefill": 36.2, "long-prefill": 106.9, "decode": 29.16},
    ("q8_0", "i8mm"): {"prefill": 18.03, "decode": 43.53},
    ("q4_1", "i8mm"): {"prefill": 57.5, "decode": 103.4},
    ("q4_k_m", "i8mm"): {"prefill": 105.5, "decode": 124.9},
}
# What llama.cpp would be built with for such a CPU. It was not counted without SDOT.
PEER_BUILDS = {"neoverse-n1": "dotprod", "cortex-a76": "dotprod", "max,sve=off": "i8mm",
               "max,sve128=on": "sve128", "max,sve256=on": "sve256"}
MILLION = 1e6


def read_counts(path):
    """{"kind": Counter, "function": Counter}"""
    counts = {"kind": Counter(), "function": Counter()}
    with open(path, encoding="utf-8") as file:
        for line in file:
            count, what, name = line.rstrip("\n").split("\t")
            counts[what][name] += int(count)
    return counts


class Case:
    """Counts per token, in millions: what the longer run has more, by kind and by function."""

    def __init__(self, line):
        (self.model, self.cpu, self.kernels, self.case, tokens, shorter, longer) = line.split("\t")
        shorter, longer = read_counts(shorter), read_counts(longer)
        scale = 1 / (MILLION * int(tokens))
        self.kinds, self.functions = (
            {name: (count - shorter[what][name]) * scale for name, count in longer[what].items()}
            for what in ("kind", "function"))
        self.total = sum(self.kinds.values())

    def peer(self):
        """What llama.cpp needs, and its build: this CPU's, else the only one that was counted."""
        weights = re.search(r"q\d_\w+$", self.model)
        build = PEER_BUILDS.get(self.cpu)
        for name in (build, "i8mm"):
            counts = PEER.get((weights and weights.group(), name), {})
            if build is not None and self.case in counts:
                return f"{counts[self.case]:.1f} ({name})"
        return "-"

    def row(self):
        return (f"| {self.model} | {self.cpu} | {self.kernels} | {self.case} | {self.total:.2f} | "
                f"{self.kinds.get('sdot', 0):.2f} | {self.kinds.get('smmla', 0):.2f} | {self.peer()} |")


def print_functions(case):
    print(f"\n{case.model}, {case.cpu}, {case.kernels}, {case.case}: {case.total:.2f} million a token\n")
    largest = sorted(case.functions.items(), key=lambda item: -item[1])
    largest = [(name, count) for name, count in largest if count >= 0.002 * case.total]
    names = short_names(name for name, _ in largest)
    for name, count in largest:
        print(f"  {count:8.3f}  {100 * count / case.total:5.1f} %  {names[name]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("results")
    parser.add_argument("--by-function", action="store_true")
    arguments = parser.parse_args()
    with open(arguments.results, encoding="utf-8") as file:
        cases = [Case(line.rstrip("\n")) for line in file]
    print("Million executed instructions per token, one thread, under qemu-aarch64. llama.cpp: commit 3f545becc, "
          "gcc 12.2, counted once in the same way; in brackets what it was built for\n")
    print("| file | -cpu | kernels | case | instructions | sdot | smmla | llama.cpp |")
    print("| --- " * 8 + "|")
    for case in cases:
        print(case.row())
    if arguments.by_function:
        for case in cases:
            print_functions(case)


if __name__ == "__main__":
    main()
