#!/usr/bin/env python3
"""Turns the lines that scripts/bench_peer.sh collected into its table: medians, and ratios of pairs.

  peer_table.py FILE PREFILL DECODE, FILE has lines
  "model<TAB>threads<TAB>side<TAB>JSON of one run"
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
            model, threads, side, run = line.rstrip("\n").split("\t")
            cells.setdefault((model, threads), {}).setdefault(side, []).append(json.loads(run))
    return cells


def median(runs, field):
    return statistics.median(run[field] for run in runs)


def row(near, peer, field, limit):
    ratio = statistics.median(n[field] / p[field] for n, p in zip(near, peer))
    return (f"{median(near, field):.1f} | {median(peer, field):.1f} | {ratio:.2f} | "
            f"{median(near, limit):.0f} %")


def main():
    path, prefill, decode = sys.argv[1:4]
    cells = read(path)
    kernels = {run["kernels"] for sides in cells.values() for run in sides["nearfar"]}
    pairs = min(len(sides["nearfar"]) for sides in cells.values())
    print(f"{cpu_name()}, kernels {', '.join(sorted(kernels))}, medians of {pairs} interleaved pairs, "
          "tokens per second; ratio = nearfar / llama.cpp, median of the pairs' ratios; then nearfar's share "
          "of this machine's int8 peak or read bandwidth\n")
    print(f"| file | threads | prefill {prefill}: nearfar | llama.cpp | ratio | of int8 peak "
          f"| decode {decode}: nearfar | llama.cpp | ratio | of bandwidth "
          "| peak MiB: nearfar | llama.cpp |")
    print("| --- " * 12 + "|")
    for (model, threads), sides in cells.items():
        near, peer = sides["nearfar"], sides["llama.cpp"]
        memory = [max(run["peak_rss_mib"] for run in side) for side in (near, peer)]
        print(f"| {model} | {threads} | "
              f"{row(near, peer, 'prefill_tokens_per_s', 'prefill_percent_of_int8_peak')} | "
              f"{row(near, peer, 'decode_tokens_per_s', 'decode_percent_of_bandwidth')} | "
              f"{memory[0]:.0f} | {memory[1]:.0f} |")


if __name__ == "__main__":
    main()
