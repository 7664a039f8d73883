#!/usr/bin/env python3
"""Runs clang-tidy over the sources of the dev build: changed files first, within a time budget.

What the budget did not reach is said, so that a green line never claims more than was done.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def compiled_sources(database):
    """Sources of the product. Generated ones lie in the build folder; tests are held by what they test,
    and would take the time of the sources."""
    entries = json.loads((database / "compile_commands.json").read_text(encoding="utf-8"))
    sources = set()
    for entry in entries:
        path = pathlib.Path(entry["file"])
        if path.is_relative_to(ROOT) and not any(
                path.is_relative_to(ROOT / left_out) for left_out in ("build", "tests")):
            sources.add(path.relative_to(ROOT))
    return sorted(sources)


def changed_sources(base):
    done = subprocess.run(["git", "diff", "--name-only", base, "--", "*.cc", "*.h"], cwd=ROOT,
                          capture_output=True, text=True, check=False)
    return {pathlib.Path(line) for line in done.stdout.split()}


def default_base():
    """The commit of a day ago, or the first one: what this piece of work changed."""
    for command in (["git", "rev-list", "-1", "--before=24 hours ago", "HEAD"],
                    ["git", "rev-list", "--max-parents=0", "HEAD"]):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.stdout.strip():
            return done.stdout.split()[-1]
    return "HEAD"


def order(sources, changed):
    """Changed sources, then those of changed headers, then the rest."""
    def rank(path):
        if path in changed:
            return 0
        if path.with_suffix(".h") in changed:
            return 1
        return 2
    return sorted(sources, key=lambda path: (rank(path), str(path)))


def tidy(path, database, deadline):
    """Returns None where the budget was over, else (ok, output)."""
    left = deadline - time.monotonic()
    if left <= 0:
        return None
    command = ["clang-tidy", "-p", str(database), "--quiet", str(path)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False,
                              timeout=left)
    except subprocess.TimeoutExpired:
        return None
    return done.returncode == 0, done.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--database", type=pathlib.Path, default=ROOT / "build" / "dev")
    parser.add_argument("--base", help="compare with this commit; default: that of a day ago")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    if not (arguments.database / "compile_commands.json").exists():
        print(f"{arguments.database}: no compile_commands.json (cmake --preset dev makes it)")
        sys.exit(66)
    sources = order(compiled_sources(arguments.database),
                    changed_sources(arguments.base or default_base()))
    deadline = time.monotonic() + 60 * arguments.minutes
    bad = unreached = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for path, result in zip(sources, pool.map(
                lambda source: tidy(source, arguments.database, deadline), sources)):
            if result is None:
                unreached += 1
            elif not result[0]:
                bad += 1
                print(f"{path}:\n{result[1].strip()}")
    if unreached == len(sources):
        print("no source was checked: the time budget is too small")
        sys.exit(1)
    print(f"{len(sources) - unreached} of {len(sources)} sources checked, {bad} with findings"
          + (f"; {unreached} not reached in {arguments.minutes:g} minutes" if unreached else ""))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
