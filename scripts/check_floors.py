#!/usr/bin/env python3
"""Checks the floors of the house: arrows point down only, and nothing goes in a circle.

  - Rooms (folders, or single files with a room of their own) lie on floors. A room may include what
    its line in ROOMS names, and itself.
  - No cycle between files, a header and its source counting as one but for FACES; none between
    packages.
  - A header in a package's sub-folder is internal: other packages do not include it, but for OPEN.
  - Libraries that a room must not know are in FORBIDDEN.
  - Kernel files include no standard container.
  - No util/, common/, misc/, helpers/ folder, but for local_engine/kernels/common.

docs/architecture.md draws the same arrows. Held by tests/scripts/check_floors_test.py.
"""

import argparse
import fnmatch
import pathlib
import re
import subprocess
import sys

ENGINE_LOW = ["local_engine/base", "local_engine/quant"]
ENGINE_MIDDLE = ENGINE_LOW + ["local_engine/packing", "local_engine/gguf", "local_engine/kernels",
                              "local_engine/leaf"]
ENGINE_UPPER = ENGINE_MIDDLE + ["local_engine/tokenizer", "local_engine/ops", "local_engine/sampling"]
# What may be seen of a package from above it: its top folder.
POLICY = ["policies/values", "policies/pure", "policies/estimators", "policies/detectors",
          "policies/kinds"]
ROUTER_CORE = ["router/values", "router/signals", "router/internal", "router/faces", "router/core"]
BELOW_PROGRAMS = POLICY + ROUTER_CORE + ["policies/file", "router/near", "router/far",
                                         "router/catalogue", "cloud_client/face",
                                         "cloud_client/values", "local_engine/face",
                                         "local_engine/session", "local_engine/leaf", "proto"]

# Room: (patterns of its files, rooms that it may include). The first pattern that fits decides.
ROOMS = {
    "local_engine/base": (["local_engine/base/*"], []),
    "local_engine/leaf": (["local_engine/token.h", "local_engine/sampling_options.h",
                           "local_engine/engine_stats.h"], []),
    "local_engine/quant": (["local_engine/quant/*"], ["local_engine/base"]),
    "local_engine/gguf": (["local_engine/gguf/*"], ENGINE_LOW),
    "local_engine/packing": (["local_engine/packing/*"], ENGINE_LOW),
    "local_engine/kernels": (["local_engine/kernels/*"], ENGINE_LOW + ["local_engine/packing"]),
    "local_engine/tokenizer": (["local_engine/tokenizer/*"], ENGINE_MIDDLE),
    "local_engine/ops": (["local_engine/ops/*"], ENGINE_MIDDLE),
    "local_engine/sampling": (["local_engine/sampling/*"], ENGINE_MIDDLE),
    "local_engine/model": (["local_engine/model/*"], ENGINE_UPPER),
    "local_engine/session": (["local_engine/session.*"], ENGINE_UPPER + ["local_engine/model"]),
    "local_engine/generation": (["local_engine/generation.*"], ENGINE_UPPER + ["local_engine/session"]),
    "local_engine/governor": (["local_engine/governor.*"], ["local_engine/base"]),
    "local_engine/scheduler": (["local_engine/scheduler.*"],
                               ENGINE_UPPER + ["local_engine/model", "local_engine/session",
                                               "local_engine/generation",
                                               "local_engine/governor"]),
    "local_engine/face": (["local_engine/*"],
                          ENGINE_UPPER + ["local_engine/model", "local_engine/session",
                                          "local_engine/generation", "local_engine/governor",
                                          "local_engine/scheduler"]),
    "policies/values": (["policies/signals.*", "policies/decision.*"], []),
    "policies/text": (["policies/text/*"], []),
    "policies/estimators": (["policies/estimators/*"], ["policies/values", "policies/text"]),
    "policies/detectors": (["policies/detectors/*"], ["policies/values", "policies/text"]),
    "policies/file": (["policies/policy_file.*", "policies/yaml_bridge.*", "policies/file/*"],
                      POLICY + ["policies/text", "proto"]),
    "policies/kinds": (["policies/kinds/*"],
                       ["policies/values", "policies/pure", "policies/estimators"]),
    "policies/pure": (["policies/*"],
                      ["policies/values", "policies/text", "policies/estimators",
                       "policies/detectors", "policies/kinds"]),
    "cloud_client/protocols": (["cloud_client/protocols/*"], ["cloud_client/values", "proto"]),
    "cloud_client/values": (["cloud_client/options.h", "cloud_client/cloud_client.h",
                             "cloud_client/call.h", "cloud_client/cloud_error.*",
                             "cloud_client/pem.*",
                             "cloud_client/stub/stub.h", "cloud_client/stub/channel.*",
                             "cloud_client/stub/timer.*"], []),
    "cloud_client/stub": (["cloud_client/stub/*"],
                          ["cloud_client/values", "cloud_client/protocols", "proto"]),
    "cloud_client/face": (["cloud_client/*"],
                          ["cloud_client/values", "cloud_client/stub", "cloud_client/protocols",
                           "proto"]),
    "router/values": (["router/query.*", "router/backend.*"], POLICY),
    "router/signals": (["router/signals/*"], ["router/values"] + POLICY),
    "router/faces": (["router/router.h", "router/ledger.h", "router/decision_log.h"],
                     ["router/values", "router/signals"] + POLICY),
    "router/internal": (["router/internal/*"],
                        ["router/values", "router/signals", "router/faces"] + POLICY),
    "router/near": (["router/local_backend.*"],
                    ["router/values", "router/internal", "local_engine/face", "local_engine/session",
                     "local_engine/leaf"] + POLICY),
    "router/far": (["router/cloud_backend.*", "router/far_sides.*"],
                   ["router/values", "router/internal", "cloud_client/face", "cloud_client/values"]
                   + POLICY),
    "router/catalogue": (["router/catalogue.*"], []),
    "router/daemon": (["router/daemon/*"], BELOW_PROGRAMS),
    "router/cli": (["router/cli/*"], BELOW_PROGRAMS + ["router/tuning"]),
    "router/tuning": (["router/tuning/*"], BELOW_PROGRAMS),
    "router/core": (["router/*"],
                    ["router/values", "router/signals", "router/internal", "router/faces"] + POLICY),
    "proto": (["proto/*", "nearfar/v1/*"], []),
}

# Headers of sub-folders that other packages may include, and why.
OPEN = {
    "policies/estimators/*.h": "the router fills features and binds calibrations with them",
    "local_engine/kernels/cpu_features.h": "nearfar doctor tells what the CPU has",
    "local_engine/kernels/dispatch.h": "nearfar doctor tells which kernels are chosen",
    "local_engine/gguf/*.h": "nearfar models inspect shows a file as it is",
    "local_engine/quant/formats.h": "nearfar models inspect names tensor types",
    "local_engine/tokenizer/tokenizer.h": "nearfar models inspect tells what the tokenizer is",
    "local_engine/tokenizer/chat_template.h": "nearfar models inspect tells what the template is",
    "local_engine/base/sha256.h": "nearfar models verify hashes a file",
}
OPEN_ROOMS = {path: ["router/cli"] for path in OPEN if path.startswith("local_engine/")}
OPEN_ROOMS["policies/estimators/*.h"] = None  # any room that may include policies

GRPC = ["grpc*", "google/protobuf/*", "nearfar/v1/*"]
# Rooms (or whole packages) and includes that they must not have.
FORBIDDEN = {
    "local_engine/": GRPC + ["sqlite3.h", "yaml-cpp/*"],
    "policies/values": GRPC + ["yaml-cpp/*", "sqlite3.h", "local_engine/*"],
    "policies/pure": GRPC + ["yaml-cpp/*", "sqlite3.h"],
    "policies/kinds": GRPC + ["yaml-cpp/*", "sqlite3.h"],
    "policies/estimators": GRPC + ["yaml-cpp/*", "sqlite3.h"],
    "policies/detectors": GRPC + ["yaml-cpp/*", "sqlite3.h"],
    "router/core": GRPC + ["yaml-cpp/*"],
    "router/values": GRPC + ["yaml-cpp/*", "sqlite3.h"],
    "router/near": GRPC + ["sqlite3.h"],
    "router/internal": GRPC + ["yaml-cpp/*"],
    "router/signals": GRPC + ["yaml-cpp/*", "sqlite3.h"],
}

# An inline function of these, merged by the linker from a file built for a newer instruction set,
# crashes an older CPU.
CONTAINERS = {"vector", "string", "string_view", "map", "unordered_map", "set", "unordered_set",
              "list", "deque", "array", "memory", "functional", "optional", "algorithm", "span",
              "tuple", "utility", "variant", "iostream", "sstream"}
KERNEL_PATTERNS = ["local_engine/kernels/*/*.h", "local_engine/kernels/*/*.cc",
                   "local_engine/kernels/kernel_table.h"]
PLAIN_KERNELS = "local_engine/kernels/reference/*"  # built for the oldest CPU, like all other code

# Headers that stand apart from their sources in the search for cycles: a face whose factory lives
# in its source, which puts the parts together that see the face.
FACES = {"router/router.h", "router/ledger.h", "router/decision_log.h",
         "local_engine/gguf/gguf_file.h"}

ATTICS = {"util", "utils", "common", "misc", "helpers"}
PACKAGES = ["local_engine", "policies", "cloud_client", "router"]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def room_of(path):
    for room, (patterns, _) in ROOMS.items():
        if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
            return room
    return None


def package_of(path):
    return "proto" if path.startswith("nearfar/v1/") else path.split("/")[0]


def includes_of(text):
    """[(line number, include, quoted?)] of a file."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            found.append((number, match.group(2), match.group(1) == '"'))
    return found


def is_open(include, room):
    for pattern in OPEN:
        if fnmatch.fnmatchcase(include, pattern):
            return OPEN_ROOMS[pattern] is None or room in OPEN_ROOMS[pattern]
    return False


def check_arrow(path, number, include, problems):
    if package_of(include) not in PACKAGES + ["proto", "tests", "examples"]:
        return
    here, there = room_of(path), room_of(include)
    where = f"{path}:{number}"
    if here is None:
        problems.append(f"{path}: lies in no room that ROOMS of scripts/check_floors.py knows")
        return
    if there is None:
        problems.append(f"{where}: {include}: product code does not include this")
        return
    opened = package_of(path) != package_of(include) and is_open(include, here)
    if here != there and there not in ROOMS[here][1] and not opened:
        problems.append(f"{where}: {here} must not include {there} ({include})")
        return
    internal = include.count("/") > 1 and package_of(include) != "proto"
    if package_of(path) != package_of(include) and internal and not opened:
        problems.append(f"{where}: {include} is internal to {package_of(include)}")


def check_forbidden(path, number, include, problems):
    room = room_of(path) or ""
    for scope, patterns in FORBIDDEN.items():
        if room == scope or (scope.endswith("/") and path.startswith(scope)):
            if any(fnmatch.fnmatchcase(include, pattern) for pattern in patterns):
                problems.append(f"{path}:{number}: {scope.rstrip('/')} must not know <{include}>")


def check_kernel(path, number, include, problems):
    if fnmatch.fnmatchcase(path, PLAIN_KERNELS):
        return
    if any(fnmatch.fnmatchcase(path, pattern) for pattern in KERNEL_PATTERNS):
        if include in CONTAINERS or include.startswith("absl/"):
            problems.append(f"{path}:{number}: a kernel file must not include <{include}>")


def find_cycle(graph):
    """One cycle of {node: nodes}, as a list that ends where it began, or None."""
    state, trail = {}, []

    def visit(node):
        state[node] = "open"
        trail.append(node)
        for other in sorted(graph.get(node, ())):
            if state.get(other) == "open":
                return trail[trail.index(other):] + [other]
            if other not in state:
                cycle = visit(other)
                if cycle:
                    return cycle
        trail.pop()
        state[node] = "done"
        return None

    for node in sorted(graph):
        if node not in state:
            cycle = visit(node)
            if cycle:
                return cycle
    return None


def check_cycles(files, problems):
    """Between files (a header with its source), and between packages."""
    def stem(path):
        return path if path in FACES else re.sub(r"\.(cc|h)$", "", path)

    by_file, by_package = {}, {}
    for path, text in files.items():
        for _, include, quoted in includes_of(text):
            if not quoted or include not in files:
                continue
            if stem(path) != stem(include):
                by_file.setdefault(stem(path), set()).add(stem(include))
            if package_of(path) != package_of(include):
                by_package.setdefault(package_of(path), set()).add(package_of(include))
    for what, graph in (("files", by_file), ("packages", by_package)):
        cycle = find_cycle(graph)
        if cycle:
            problems.append(f"cycle between {what}: " + " > ".join(cycle))


def check_folders(paths, problems):
    attics = set()
    for path in paths:
        parts = pathlib.PurePosixPath(path).parts[:-1]
        for index, part in enumerate(parts):
            folder = "/".join(parts[: index + 1])
            if part in ATTICS and folder != "local_engine/kernels/common":
                attics.add(folder)
    problems.extend(f"{folder}/: a folder whose name says nothing; give its files a home with a name"
                    for folder in sorted(attics))


def check(files, all_paths=()):
    """files: {path from the root: text} of .cc and .h files. Returns the problems, sorted."""
    problems = []
    product = {path: text for path, text in files.items() if path.split("/")[0] in PACKAGES}
    for path, text in product.items():
        for number, include, quoted in includes_of(text):
            if quoted:
                check_arrow(path, number, include, problems)
            check_forbidden(path, number, include, problems)
            check_kernel(path, number, include, problems)
    check_cycles(product, problems)
    check_folders(list(all_paths) or list(files), problems)
    return sorted(set(problems))


def read_tree(root):
    done = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=root,
                          capture_output=True, text=True, check=True)
    paths = sorted(path for path in done.stdout.splitlines() if (root / path).is_file())
    files = {path: (root / path).read_text(encoding="utf-8", errors="replace")
             for path in paths if path.endswith((".cc", ".h"))}
    return files, paths


def main():
    parser = argparse.ArgumentParser(description="Checks includes against the floors of the house.")
    parser.add_argument("root", nargs="?", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    files, paths = read_tree(parser.parse_args().root)
    problems = check(files, paths)
    for problem in problems:
        print(problem)
    if problems:
        print(f"{len(problems)} includes or folders break the floors (docs/architecture.md)")
        sys.exit(1)
    print(f"{len(files)} files, no arrow up, no circle")


if __name__ == "__main__":
    main()
