#!/usr/bin/env python3
"""Checks that the documents point at things that exist: links, scripts, paths in backticks.

A path in backticks is checked where it looks like one of the tree's (it starts with a top folder's
name and has no placeholder in it). Fenced blocks are checked for scripts only. Held by
tests/scripts/check_docs_test.py.
"""

import argparse
import pathlib
import re
import subprocess
import sys

TOPS = ("proto", "local_engine", "router", "cloud_client", "policies", "tests", "examples", "scripts",
        "docs", "cmake", ".ci")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
TICKED = re.compile(r"`([^`\n]+)`")
SCRIPT = re.compile(r"(?<![\w/.-])((?:scripts|\.ci)/[\w./-]*\w)")
PATH = re.compile(r"^[\w.-]+(?:/[\w.{},*-]+)*/?$")
HEADING = re.compile(r"^#+\s+(.*?)\s*#*$")


def anchors_of(text):
    """Anchors as the usual renderers make them from headings."""
    anchors, fenced = set(), False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        match = None if fenced else HEADING.match(line)
        if match:
            plain = re.sub(r"[`*_]|\[([^\]]*)\]\([^)]*\)", r"\1", match.group(1)).lower()
            anchors.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return anchors


def expand(path):
    """a/{b,c}.h is two paths; a `x.{h,cc}` is, too."""
    match = re.search(r"\{([^{}]*)\}", path)
    if not match:
        return [path]
    return [name for choice in match.group(1).split(",")
            for name in expand(path[:match.start()] + choice.strip() + path[match.end():])]


def exists(root, path):
    if "*" in path:
        return any(root.glob(path))
    return (root / path).exists()


def check_link(root, document, number, target, problems):
    if re.match(r"[a-z][a-z0-9+.-]*:", target):
        return
    path, _, anchor = target.partition("#")
    file = (document.parent / path) if path else document
    where = f"{document.relative_to(root)}:{number}"
    if not file.exists():
        problems.append(f"{where}: link to {target}: no such file")
    elif anchor and file.suffix == ".md" and anchor not in anchors_of(
            file.read_text(encoding="utf-8")):
        problems.append(f"{where}: link to {target}: no such heading")


def check_ticked(root, document, number, text, problems):
    word = text.split()[0] if text.split() else ""
    if not PATH.match(word) or word.split("/")[0] not in TOPS or "/" not in word:
        return
    for path in expand(word):
        if not exists(root, path):
            problems.append(f"{document.relative_to(root)}:{number}: `{path}`: no such file")


def check_document(root, document):
    problems, fenced = [], False
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        for script in SCRIPT.findall(line):
            if not exists(root, script):
                problems.append(f"{document.relative_to(root)}:{number}: {script}: no such script")
        if fenced:
            continue
        for groups in LINK.findall(line):
            check_link(root, document, number, groups[0] or groups[1], problems)
        for text in TICKED.findall(line):
            check_ticked(root, document, number, text, problems)
    return problems


def documents_of(root):
    done = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
                          cwd=root, capture_output=True, text=True, check=True)
    return [root / line for line in sorted(done.stdout.splitlines()) if (root / line).is_file()]


def main():
    parser = argparse.ArgumentParser(description="Checks links and paths of the documents.")
    parser.add_argument("root", nargs="?", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root
    documents = documents_of(root)
    problems = sorted({problem for document in documents
                       for problem in check_document(root, document)})
    for problem in problems:
        print(problem)
    if problems:
        print(f"{len(problems)} places of the documents point at nothing")
        sys.exit(1)
    print(f"{len(documents)} documents, every link and path is there")


if __name__ == "__main__":
    main()
