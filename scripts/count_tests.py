#!/usr/bin/env python3
"""Counts the tests of one scripts/test.sh run: 'N passed, N failed, N skipped'.

A ctest entry that is a GoogleTest binary counts as its cases (GTEST_OUTPUT writes one XML file a
binary); any other counts as one. A binary that crashed or timed out, so that its XML is missing or
shows no failure, counts as one failure more. Held by tests/scripts/count_tests_test.py.
"""

import argparse
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.skip_reasons = []
        self.failures = []

    def line(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"

    def add_failure(self, name):
        self.failed += 1
        self.failures.append(name)

    def add_skip(self, name, reason):
        self.skipped += 1
        self.skip_reasons.append(f"{name}: {reason}" if reason else name)


def gtest_cases(path):
    """Yields (name, state, message); a file that cannot be read (a crash while writing) has none."""
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError):
        return
    for case in root.iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None:
            yield name, "failed", ""
        elif skipped is not None or case.get("result") == "skipped":
            message = skipped.get("message", "") if skipped is not None else ""
            yield name, "skipped", message.strip().splitlines()[-1] if message.strip() else ""
        elif case.get("status") == "notrun":
            continue  # DISABLED_ or filtered out
        else:
            yield name, "passed", ""


def add_entry(count, label, name, state, gtest_file):
    cases = list(gtest_cases(gtest_file)) if gtest_file.exists() else []
    if not cases:
        if state == "run":
            count.passed += 1
        elif state in ("disabled", "notrun"):
            count.add_skip(f"{label}/{name}", "not run")
        else:
            count.add_failure(f"{label}/{name}")
        return
    failed = 0
    for case, outcome, message in cases:
        if outcome == "passed":
            count.passed += 1
        elif outcome == "skipped":
            count.add_skip(f"{label}/{case}", message)
        else:
            failed += 1
            count.add_failure(f"{label}/{case}")
    if state == "fail" and failed == 0:
        count.add_failure(f"{label}/{name} (the binary ended badly)")


def add_run(count, folder, label):
    junit = folder / f"{label}.junit.xml"
    try:
        root = ElementTree.parse(junit).getroot()
    except (ElementTree.ParseError, OSError):
        count.add_failure(f"{label}: ctest wrote no results")
        return
    for case in root.iter("testcase"):
        name = case.get("name")
        state = case.get("status", "run")
        if case.find("failure") is not None:
            state = "fail"
        elif case.find("skipped") is not None:
            reason = case.find("skipped").get("message", "")
            # A test whose program was not built is a failure, not a choice.
            if "Unable to find" in reason or "not found" in reason.lower():
                state = "fail"
            else:
                count.add_skip(f"{label}/{name}", reason)
                continue
        add_entry(count, label, name, state, folder / label / f"{name}.xml")


def add_extra(count, path):
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, name, reason = line.split("\t")
        if kind == "skip":
            count.add_skip(name, reason)
        elif kind == "fail":
            count.add_failure(f"{name}: {reason}")
        else:
            count.passed += 1


def count_all(folder, only=None):
    count = Count()
    labels = sorted(path.name for path in folder.iterdir() if path.is_dir())
    for label in labels:
        if only is None or label == only:
            add_run(count, folder, label)
    if only is None:
        add_extra(count, folder / "extra.tsv")
        if not labels and not count.failed:
            count.add_failure("nothing was tested")
    return count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--only", help="one run's label")
    arguments = parser.parse_args()
    count = count_all(arguments.folder, arguments.only)
    if arguments.only is None:
        for reason in sorted(set(count.skip_reasons)):
            print(f"  skipped: {reason}")
    for name in count.failures:
        print(f"  FAILED: {name}")
    print(count.line())
    sys.exit(1 if count.failed else 0)


if __name__ == "__main__":
    main()
