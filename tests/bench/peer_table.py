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


def measures(run, prefill, decode):
    """{name: (tokens per second, percent of the limit or None, the limit's name)} of a run."""
    rows = {f"prefill {prefill}": (run["prefill_tokens_per_s"],
                                   run.get("prefill_percent_of_int8_peak"), "int8 peak")}
    for entry in run["decode"]:
        rows[f"decode {decode} at depth {entry['depth']}"] = (
            entry["tokens_per_s"], entry.get("percent_of_bandwidth"), "bandwidth")
    return rows


def row(name, near, peer):
    """One measure that both sides have, of each side's runs."""
    near, peer = ([run[name] for run in side] for side in (near, peer))
    speeds = [[speed for speed, _, _ in side] for side in (near, peer)]
    ratio = statistics.median(n / p for n, p in zip(*speeds))
    percent = statistics.median(percent for _, percent, _ in near)
    return (f"{name} | {statistics.median(speeds[0]):.1f} | {statistics.median(speeds[1]):.1f} | "
            f"{ratio:.2f} | {percent:.0f} % of {near[0][2]}")


def main():
    path, prefill, decode = sys.argv[1:4]
    cells = read(path)
    kernels = {run["kernels"] for sides in cells.values() for run in sides["nearfar"]}
    pairs = min(len(sides["nearfar"]) for sides in cells.values())
    print(f"{cpu_name()}, kernels {', '.join(sorted(kernels))}, medians of {pairs} interleaved pairs, "
          "tokens per second; ratio = nearfar / llama.cpp, median of the pairs' ratios; then nearfar's share "
          "of this machine's int8 peak or read bandwidth\n")
    print("| file | threads | measured | nearfar | llama.cpp | ratio | of the machine's limit |")
    print("| --- " * 7 + "|")
    for (model, threads), sides in cells.items():
        near, peer = ([measures(run, prefill, decode) for run in sides[side]]
                      for side in ("nearfar", "llama.cpp"))
        for name in near[0]:  # a depth that does not fit nearfar's context is left out
            print(f"| {model} | {threads} | {row(name, near, peer)} |")
        memory = [max(run["peak_rss_mib"] for run in sides[side]) for side in ("nearfar", "llama.cpp")]
        print(f"| {model} | {threads} | peak MiB | {memory[0]:.0f} | {memory[1]:.0f} | "
              f"{memory[0] / memory[1]:.2f} | |")


if __name__ == "__main__":
    main()
