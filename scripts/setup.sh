#!/usr/bin/env bash
# Installs what nearfar is built from: Debian 12 packages, nothing else. Quick when all is there.
#
#   scripts/setup.sh             everything: build, tests, lint, the arm64 test build
#   scripts/setup.sh --minimal   only what building and running the programs needs
set -euo pipefail

usage() {
  sed -n '2,5s/^# \{0,1\}//p' "$0"
}

minimal=false
for argument in "$@"; do
  case "$argument" in
    --minimal) minimal=true ;;
    --help|-h) usage; exit 0 ;;
    *) echo "setup.sh: unknown option '$argument' (try --help)" >&2; exit 64 ;;
  esac
done

# To build and run the programs, the demo and the model download.
packages=(
  g++ cmake ninja-build ccache lld pkg-config git ca-certificates curl openssl unzip
  python3 python3-venv python3-pip
  libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev
  libabsl-dev libssl-dev libyaml-cpp-dev libre2-dev libsqlite3-dev
  libboost-dev libcurl4-openssl-dev prometheus-cpp-dev libcli11-dev libspdlog-dev nlohmann-json3-dev
)
# To test and check them: test libraries, the second compiler, format and lint, arm64 under qemu.
if ! $minimal; then
  packages+=(
    libgtest-dev libgmock-dev libbenchmark-dev
    clang clang-format clang-tidy
    g++-aarch64-linux-gnu qemu-user
  )
fi

if ! command -v dpkg-query >/dev/null 2>&1; then
  echo "setup.sh: this machine has no dpkg. nearfar is built from Debian 12 packages; install the" >&2
  echo "equivalents of these with your own package manager, then run cmake:" >&2
  printf '  %s\n' "${packages[*]}" >&2
  exit 69
fi

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done

if [ ${#missing[@]} -eq 0 ]; then
  echo "setup: all ${#packages[@]} packages are installed"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "setup.sh: these packages are missing, and there is no sudo to install them with:" >&2
    echo "  ${missing[*]}" >&2
    echo "Run as root: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 77
  fi
  as_root=(sudo)
fi

echo "setup: installing ${#missing[@]} packages: ${missing[*]}"
run() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "$@"
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { run apt-get update -q && run apt-get install -q -y --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "setup.sh: apt-get failed (its last lines are above). Is the network there, is this Debian" >&2
  echo "12, and does no other apt run hold the lock? Then run scripts/setup.sh again." >&2
  exit 69
fi
echo "setup: done"
