#!/usr/bin/env python3
"""Puts the inner loops of the quantized products of every Arm table into llvm-mca; the --mca of
scripts/bench_arm.sh.

A table's source is compiled to assembly with its own options. The inner loop of a function is the
backward branch around the most dot products (SDOT, SMMLA). llvm-mca knows a core's pipelines, not its
memory: everything is in the first cache, and all branches are foretold.
"""

import argparse
import json
import pathlib
import re
import shlex
import subprocess
import sys

from arm_names import short_names

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOT = re.compile(r"^\t(sdot|smmla)\t")
LABEL = re.compile(r"^(\.L\w+):")
BRANCH = re.compile(r"^\t(?:b|b\.?\w\w|cbn?z|tbn?z)\t(?:.*\s)?(\.L\w+)$")
FUNCTION = re.compile(r"^\t\.type\t(\w+), %function")


def arm_tables(build):
    """(name, command that prints its assembly) of every Arm kernel table of a configured build."""
    entries = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    for entry in entries:
        path = pathlib.Path(entry["file"])
        if path.name != "table.cc" or not path.parent.name.startswith(("neon", "sve")):
            continue
        command = shlex.split(entry["command"])
        at = command.index("-o")
        command[at:at + 2] = ["-o", "-"]
        command[command.index("-c")] = "-S"
        yield path.parent.name, command, entry["directory"]


def functions(assembly):
    """{symbol: lines}"""
    found, lines = {}, []
    for line in assembly.splitlines():
        begins = FUNCTION.match(line)
        if begins:
            lines = found.setdefault(begins.group(1), [])
        lines.append(line)
    return found


def dots_in(lines):
    return sum(bool(DOT.match(line)) for line in lines)


def inner_loop(lines):
    """The lines of the loop with the most dot products, or an empty list."""
    places = {match.group(1): i for i, line in enumerate(lines) if (match := LABEL.match(line))}
    best = []
    for i, line in enumerate(lines):
        branch = BRANCH.match(line)
        begin = places.get(branch.group(1)) if branch else None
        if begin is None or begin > i:
            continue
        body = [line for line in lines[begin:i + 1] if line.startswith("\t") and line[1] != "."]
        if dots_in(body) > dots_in(best):
            best = body
    return best


def product_loops(assembly):
    """{name: inner loop} of the products of one token and of the most at once, with their number."""
    one, most = {}, {}
    loops = {symbol: loop for symbol, lines in functions(assembly).items()
             if "Multiply" in symbol and (loop := inner_loop(lines))}
    names = short_names(loops)
    for symbol, loop in loops.items():
        name = names[symbol]
        if "MultiplyDirectly" in name and name.endswith(", 1>"):
            one[name] = loop
            continue
        kind = re.sub(r", \d+>$", ">", name)
        if dots_in(loop) > dots_in(most.get(kind, ("", []))[1]):
            most[kind] = (name, loop)
    return {**one, **dict(most.values())}


def cycles(llvm_mca, cpu, loop):
    """Cycles of one turn once the pipelines are full; None where this llvm-mca does not know the CPU."""
    command = [llvm_mca, "-mtriple=aarch64", f"-mcpu={cpu}", "-mattr=+dotprod,+i8mm,+fullfp16,+sve2",
               "-iterations=100", "-summary-view", "-resource-pressure=0", "-instruction-info=0"]
    done = subprocess.run(command, input="\n".join(loop) + "\n", capture_output=True, text=True,
                          check=False)
    total = re.search(r"^Total Cycles:\s+(\d+)", done.stdout, re.MULTILINE)
    if total is None:
        said = done.stderr.strip().splitlines() or [f"llvm-mca ended with {done.returncode}"]
        print(f"arm_loops.py: {cpu}: {said[-1]}", file=sys.stderr)
        return None
    return int(total.group(1)) / 100


def rows(arguments):
    for table, command, folder in arm_tables(arguments.build):
        print(f"arm_loops.py: {table}", file=sys.stderr)
        assembly = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
        for name, loop in product_loops(assembly).items():
            cells = [cycles(arguments.llvm_mca, cpu, loop) for cpu in arguments.cpus]
            yield table, name, len(loop), dots_in(loop), cells


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--llvm-mca", required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--cpus", nargs="+", required=True)
    arguments = parser.parse_args()
    version = subprocess.run([arguments.llvm_mca, "--version"], capture_output=True, text=True,
                             check=True).stdout
    print(f"Cycles of a turn of the inner loop, and for a dot product, by llvm-mca "
          f"{re.search(r'version ([0-9.]+)', version).group(1)}\n")
    print("| kernels | function | instructions | dot products | " + " | ".join(arguments.cpus) + " |")
    print("| --- " * (4 + len(arguments.cpus)) + "|")
    for table, name, instructions, dots, cells in rows(arguments):
        shown = ["-" if cell is None else f"{cell:.1f}, {cell / dots:.2f}" for cell in cells]
        print(f"| {table} | {name} | {instructions} | {dots} | " + " | ".join(shown) + " |", flush=True)


if __name__ == "__main__":
    main()
