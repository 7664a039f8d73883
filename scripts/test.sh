#!/usr/bin/env bash
# Sets up, builds and tests nearfar: x86 natively, and the engine's tests for 64-bit Arm under qemu.
#
#   scripts/test.sh                  everything that a commit owes; <= 25 minutes on 2 cores
#   scripts/test.sh --filter REGEX   only the ctest entries that match
#   scripts/test.sh --long           also tests labelled long, AddressSanitizer, ThreadSanitizer and
#                                    every CPU model under qemu; run before a piece is called done
#   scripts/test.sh --native         leave the Arm part out
#
# The last line is 'N passed, N failed, N skipped'; the exit code is 1 if anything failed.
set -uo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/.." || exit 70

long=false arm=true filter=
while [ $# -gt 0 ]; do
  case "$1" in
    --long) long=true ;;
    --native) arm=false ;;
    --filter) [ $# -gt 1 ] || { echo "test.sh: --filter needs a pattern" >&2; exit 64; }
              filter=$2; shift ;;
    --help|-h) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "test.sh: unknown option '$1' (try --help)" >&2; exit 64 ;;
  esac
  shift
done

jobs=$(nproc)
results=build/test-results
rm -rf "$results"
mkdir -p "$results"
export CTEST_OUTPUT_ON_FAILURE=1
started=$SECONDS

heading() { printf '\n== %s (%d s)\n' "$1" $((SECONDS - started)); }
# What could not run is one line for people and one count in the total.
skip() { echo "SKIPPED: $1: $2"; echo "skip	$1	$2" >>"$results/extra.tsv"; }
fail() { echo "FAILED: $1: $2"; echo "fail	$1	$2" >>"$results/extra.tsv"; }
pass() { echo "pass	$1	" >>"$results/extra.tsv"; }

# run_tests LABEL BUILD_FOLDER [ctest arguments]: one ctest run whose results are kept under LABEL.
run_tests() {
  local label=$1 folder=$2
  shift 2
  local arguments=(--test-dir "$folder" -j "$jobs" --no-tests=ignore
                   --output-junit "$PWD/$results/$label.junit.xml")
  [ -z "$filter" ] || arguments+=(-R "$filter")
  local left_out=(${without:-})  # labels
  $long || left_out+=(long)
  [ ${#left_out[@]} -eq 0 ] || arguments+=(-LE "$(IFS='|'; echo "${left_out[*]}")")
  mkdir -p "$results/$label"
  GTEST_OUTPUT="xml:$PWD/$results/$label/" ctest "${arguments[@]}" "$@" >"$results/$label.log" 2>&1
  local code=$?
  if [ $code -ne 0 ]; then
    grep -E '\*\*\*(Failed|Timeout|Exception|Not Run)|^\[  FAILED  \]|error:|Failure$' "$results/$label.log" |
      head -n 60
    echo "the whole log: $results/$label.log"
  fi
  python3 scripts/count_tests.py "$results" --only "$label"
  return $code
}

# engine_programs PATTERN: folder and path of the engine's native test programs of such names, but
# those that are too slow under emulation.
engine_programs() {
  ctest --test-dir build/dev --show-only=json-v1 -R "$1" -LE 'native|long' | python3 -c '
import json, sys
for test in json.load(sys.stdin)["tests"]:
    program = test.get("command", [""])[0]
    if "/tests/local_engine/" not in program: continue
    folder = [p["value"] for p in test["properties"] if p["name"] == "WORKING_DIRECTORY"]
    print(folder[0], program)'
}

# The best kernel table of an emulated CPU: that it is found is held by the dispatch test.
kernels_of() {
  case $1 in
    Nehalem) echo scalar ;;
    Haswell) echo avx2 ;;
    cortex-a53 | cortex-a72) echo neon ;;
    neoverse-n1) echo neon_dotprod ;;
    max,sve256=on) echo sve256 ;;
    max | max,*) echo neon_i8mm ;;
  esac
}

# under_x86_qemu PATTERN CPU...: those programs on x86 CPUs that lack what this machine has.
under_x86_qemu() {
  local pattern=$1 cpu folder program name log programs
  shift
  if [ "$(uname -m)" != x86_64 ] || ! command -v qemu-x86_64 >/dev/null; then
    skip "older x86" "this is no x86-64 machine, or qemu-x86_64 is not installed"
    return
  fi
  mapfile -t programs < <(engine_programs "$pattern")
  ((${#programs[@]})) || fail "older x86" "no test program is called $pattern"
  for cpu in "$@"; do
    heading "tests, native under qemu-x86_64 -cpu $cpu"
    while read -r folder program; do
      name=${program##*/}
      [[ $name =~ $filter ]] || continue
      log=$PWD/$results/$name-$cpu.log
      if (cd "$folder" && NEARFAR_EXPECTED_KERNELS=$(kernels_of "$cpu") timeout 900 qemu-x86_64 -cpu "$cpu" "$program") >"$log" 2>&1 </dev/null; then
        pass "$name on $cpu"
      else
        grep -E '^\[  FAILED  \]|Failure$|signal' "$log" | head -n 20
        fail "$name on $cpu" "see $log"
      fi
    done < <(printf '%s\n' "${programs[@]}")
  done
}

heading "setup"
scripts/setup.sh || exit $?

heading "models"
if ! scripts/models.sh; then
  echo "going on without the missing models: the tests that need them will be skipped"
fi

heading "build, native (preset dev)"
if scripts/build.sh dev; then
  heading "tests, native"
  run_tests native build/dev
  # Nehalem has no AVX, Haswell has AVX2 and nothing later.
  if $long; then
    under_x86_qemu . Nehalem Haswell
  else
    under_x86_qemu '^kernels_(dispatch|limits|rows|attention)_test$' Nehalem Haswell
  fi
else
  fail "native build" "see build/dev.log"
fi

# under_qemu PATTERN CPU...: the engine's arm64 tests of such names, once for each CPU model.
under_qemu() {
  local pattern=$1 cpu
  shift
  for cpu in "$@"; do
    heading "tests, arm64 under qemu-aarch64 -cpu $cpu"
    skip "arm64 $cpu" "tests labelled native (whole models for thousands of tokens) are too slow under emulation"
    without=native QEMU_CPU=$cpu NEARFAR_EXPECTED_KERNELS=$(kernels_of "$cpu") run_tests "arm64-${cpu//[,=]/-}" build/arm64 \
      -R "${filter:-$pattern}"
  done
}

arm64_tests() {
  if ! command -v qemu-aarch64 >/dev/null || ! command -v aarch64-linux-gnu-g++ >/dev/null; then
    skip "arm64" "qemu-aarch64 or aarch64-linux-gnu-g++ is not installed"
    return
  fi
  if [ ! -x scripts/arm64_root.sh ] || ! scripts/arm64_root.sh >"$results/arm64_root.log" 2>&1; then
    tail -n 3 "$results/arm64_root.log" 2>/dev/null
    skip "arm64" "the Debian arm64 libraries could not be fetched (see $results/arm64_root.log)"
    return
  fi
  heading "build, arm64"
  if ! scripts/build.sh arm64; then
    fail "arm64 build" "see build/arm64.log"
    return
  fi
  # The vectors of max are of 512 bits: it gets neon_i8mm.
  under_qemu . cortex-a53 max
  if $long; then
    under_qemu . cortex-a72 neoverse-n1 max,sve=off max,sve128=on max,sve256=on
  else
    under_qemu '^kernels_' neoverse-n1 max,sve256=on
  fi
}
if $arm; then arm64_tests; fi

if $long; then
  for sanitizer in asan tsan; do
    heading "build, $sanitizer"
    if scripts/build.sh "$sanitizer"; then
      heading "tests, $sanitizer"
      skip "$sanitizer" "tests labelled native (whole models for thousands of tokens) are too slow with it"
      skip "$sanitizer" "the install test: an application that is built without it cannot link"
      without="native install" run_tests "$sanitizer" "build/$sanitizer"
    else
      fail "$sanitizer build" "see build/$sanitizer.log"
    fi
  done
fi

heading "all"
python3 scripts/count_tests.py "$results"
