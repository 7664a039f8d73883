#!/usr/bin/env python3
"""Checks that clang-format would leave every C++ file as it is.

A clang-format that is missing or fails is a failure too, in its own words. Held by
tests/scripts/check_layout_test.py.
"""

import argparse
import collections
import pathlib
import re
import subprocess
import sys

PLACE = re.compile(r"^(.+?):\d+:\d+: error: ", re.MULTILINE)


def check(root, formatter="clang-format"):
    """(files, problems): how many files were looked at, and a line for each that is not right."""
    listed = subprocess.run(["git", "ls-files", "*.cc", "*.h"], cwd=root, capture_output=True,
                            text=True, check=True)
    files = listed.stdout.split()
    if not files:
        return 0, []
    try:
        done = subprocess.run([formatter, "--dry-run", "--Werror", *files], cwd=root,
                              capture_output=True, text=True, check=False)
    except OSError as error:
        return len(files), [f"{formatter}: {error.strerror} (scripts/setup.sh installs it)"]
    places = collections.Counter(PLACE.findall(done.stderr))
    problems = [f"{file}: {count} places (clang-format -i {file})"
                for file, count in sorted(places.items())]
    if done.returncode != 0 and not problems:
        problems = done.stderr.splitlines() or [f"{formatter} ended with code {done.returncode}"]
    return len(files), problems


def main():
    parser = argparse.ArgumentParser(description="Checks the layout of all C++ files.")
    parser.add_argument("root", nargs="?", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    files, problems = check(parser.parse_args().root)
    if problems:
        print("\n".join(problems))
        sys.exit(1)
    print(f"{files} files as clang-format lays them out")


if __name__ == "__main__":
    main()
