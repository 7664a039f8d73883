#!/usr/bin/env python3
"""Turns the lines that scripts/bench_peer.sh collected into its table: medians, and ratios of pairs.

  peer_table.py FILE PREFILL DECODE, FILE has lines "model<TAB>threads<TAB>JSON of one run"
"""

import json
import platform
import statistics
import sys


def cpu_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


def read(path):
    """{(model, threads): {side: [run, ...]}} in the order of the file."""
    cells = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            model, threads, run = line.rstrip("\n").split("\t")
            run = json.loads(run)
            cells.setdefault((model, threads), {}).setdefault(run["side"], []).append(run)
    return cells


def row(key, near, peer, field):
    ratios = [n[field] / p[field] for n, p in zip(near, peer)]
    median = lambda runs: statistics.median(run[field] for run in runs)
    return f"{median(near):.1f} | {median(peer):.1f} | {statistics.median(ratios):.2f}"


def main():
    path, prefill, decode = sys.argv[1:4]
    cells = read(path)
    kernels = {run["kernels"] for sides in cells.values() for run in sides["nearfar"]}
    pairs = min(len(sides["nearfar"]) for sides in cells.values())
    print(f"{cpu_name()}, kernels {', '.join(sorted(kernels))}, medians of {pairs} interleaved pairs, "
          "tokens per second; ratio = nearfar / llama.cpp, median of the pairs' ratios\n")
    print(f"| file | threads | prefill {prefill}: nearfar | llama.cpp | ratio | decode {decode}: nearfar "
          "| llama.cpp | ratio | peak MiB: nearfar | llama.cpp |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for (model, threads), sides in cells.items():
        near, peer = sides["nearfar"], sides["llama.cpp"]
        memory = [max(run["peak_rss_mib"] for run in side) for side in (near, peer)]
        print(f"| {model} | {threads} | {row(model, near, peer, 'prefill_tokens_per_s')} | "
              f"{row(model, near, peer, 'decode_tokens_per_s')} | {memory[0]:.0f} | {memory[1]:.0f} |")


if __name__ == "__main__":
    main()
