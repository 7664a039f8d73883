#!/usr/bin/env bash
# Counts the instructions that the engine executes for one token on 64-bit Arm, on an x86-64 machine:
# engine_bench runs under qemu-aarch64 with a counting plugin (tests/bench/count_instructions.cc).
# Prepares what it needs: packages, the arm64 root, the arm64 build, the plugin, re-quantized models.
set -euo pipefail

readonly ROOT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
readonly PEER="${NEARFAR_PEER:-$HOME/.cache/nearfar/peer}"
readonly REQUANTIZED="${NEARFAR_REQUANTIZED:-$HOME/.cache/nearfar/requantized}"
readonly ARM_ROOT="${NEARFAR_ARM64_ROOT:-$HOME/.cache/nearfar/arm64-root}"
readonly LLVM="${NEARFAR_LLVM:-$HOME/.cache/nearfar/llvm}"
readonly BUILD="$ROOT/build/arm64"
readonly PLUGIN="$BUILD/count_instructions.so"

usage() {
  cat <<'EOT'
usage: scripts/bench_arm.sh [--cpu "CPU ..."] [--kernels NAME] [--cases "CASE ..."] [--by-function]
                            [MODEL ...]
       scripts/bench_arm.sh --mca [--cpu "CPU ..."]

Prints, as a Markdown table, million executed instructions per token with one thread, how many of them
are dot products, and what llama.cpp was counted to need. Each count is the difference of two runs, so
loading takes no part; it repeats to a tenth of a percent.

  CPU    what qemu-aarch64 -cpu takes; default: cortex-a53 neoverse-n1 max,sve=off max,sve128=on
         max,sve256=on
  CASE   prefill (tokens 33 to 64 of a prompt), long-prefill (257 to 512), decode (behind 8 tokens),
         deep-decode (behind 256); default: prefill decode. The other two take minutes.
  MODEL  a name that scripts/models.sh knows, NAME:TYPE for that file in another quantization
         (scripts/requantize.py), or a GGUF file; default: smollm2-135m
  --kernels NAME   as NEARFAR_KERNELS: this table instead of the CPU's fastest
  --by-function    then, for each line of the table, the functions that it is made of
  --mca            instead: the inner loops of the quantized products in llvm-mca, in cycles for a turn
                   and for a dot product. CPU is what llvm-mca -mcpu takes; default: neoverse-n1
                   neoverse-n2 neoverse-v1 neoverse-v2 cortex-a55 cortex-a76

example: scripts/bench_arm.sh --cpu neoverse-n1 --cases "prefill decode" smollm2-135m smollm2-135m:q4_0
EOT
}

fail() {
  echo "bench_arm.sh: $1" >&2
  exit "${2:-70}"
}

cpus=""
cases="prefill decode"
kernels=""
by_function=()
mca=false
models=()
while (($#)); do
  case "$1" in
    --cpu|--kernels|--cases) (($# > 1)) || fail "$1 needs a value (see --help)" 64 ;;
  esac
  case "$1" in
    --cpu) cpus="$2"; shift 2 ;;
    --kernels) kernels="$2"; shift 2 ;;
    --cases) cases="$2"; shift 2 ;;
    --by-function) by_function=(--by-function); shift ;;
    --mca) mca=true; shift ;;
    --help|-h) usage; exit 0 ;;
    -*) fail "unknown option $1 (see --help)" 64 ;;
    *) models+=("$1"); shift ;;
  esac
done
((${#models[@]})) || models=(smollm2-135m)

# The two runs of a case, and how many tokens the second one has more.
case_runs() {
  case "$1" in
    prefill) echo "32|--prefill 32 --decode 1|--prefill 64 --decode 1" ;;
    long-prefill) echo "256|--prefill 256 --decode 1|--prefill 512 --decode 1" ;;
    decode) echo "8|--prefill 1 --decode 2|--prefill 1 --decode 10" ;;
    deep-decode) echo "8|--prefill 1 --depth 256 --decode 2|--prefill 1 --depth 256 --decode 10" ;;
    *) return 1 ;;
  esac
}
for case in $cases; do
  case_runs "$case" >/dev/null || fail "unknown case '$case' (see --help)" 64
done

# ---- Preparing.

prepare_tools() {
  for tool in qemu-aarch64 aarch64-linux-gnu-g++ c++ cmake ninja python3; do
    command -v "$tool" >/dev/null || { "$ROOT/scripts/setup.sh" >&2; break; }
  done
}

prepare_build() {
  "$ROOT/scripts/arm64_root.sh" >&2
  "$ROOT/scripts/build.sh" arm64 engine_bench >&2
}

prepare_plugin() {
  local source="$ROOT/tests/bench/count_instructions.cc"
  [[ "$PLUGIN" -nt "$source" ]] && return
  c++ -std=c++20 -O2 -fPIC -shared "$source" -o "$PLUGIN" || fail "the plugin does not compile"
}

# The file of a model, fetched or re-quantized where it is still to be made.
model_file() {
  local name="${1%%:*}" file target
  if [[ "$1" == *.gguf ]]; then
    [[ -f "$1" ]] || fail "there is no file $1" 66
    realpath "$1"
    return
  fi
  file="$("$ROOT/scripts/models.sh" --path "$name")" || exit 64
  [[ -f "$file" ]] || "$ROOT/scripts/models.sh" "$name" >&2 || exit
  if [[ "$1" == "$name" ]]; then
    echo "$file"
    return
  fi
  target="$(basename "$file" .gguf)"
  target="$REQUANTIZED/${target%-*}-${1##*:}.gguf"
  if [[ ! -f "$target" ]]; then
    mkdir -p "$REQUANTIZED"
    "$ROOT/scripts/install_peer.sh" >&2 || exit
    "$PEER/bin/python" "$ROOT/scripts/requantize.py" "$file" "${1##*:}" "$target" || exit
  fi
  echo "$target"
}

# llvm-mca of the newest LLVM that is installed or that apt knows; the latter is unpacked into a folder
# of its own.
find_mca() {
  local version mca
  for version in 22 19 16 15 14; do
    mca="$(command -v "llvm-mca-$version" || echo "$LLVM/usr/lib/llvm-$version/bin/llvm-mca")"
    if [[ -x "$mca" ]]; then
      echo "$mca"
      return
    fi
    [[ "$(apt-cache policy "llvm-$version" 2>/dev/null)" == *"Candidate: "[0-9]* ]] || continue
    echo "bench_arm.sh: unpacking llvm-$version into $LLVM" >&2
    mkdir -p "$LLVM"
    # apt fetches as a user who cannot enter a private folder.
    local apt=(apt-get -q)
    [[ $(id -u) -eq 0 ]] && apt+=(-o APT::Sandbox::User=root)
    (cd "$LLVM" && "${apt[@]}" download "llvm-$version" "libllvm$version" >&2 &&
      for package in ./*llvm"$version"_*.deb "llvm-$version"_*.deb; do dpkg -x "$package" .; done &&
      rm -f ./*.deb) || fail "cannot download llvm-$version; is the network there?" 69
    echo "$mca"
    return
  done
  fail "neither this machine nor its apt has llvm-mca; install LLVM" 69
}

# ---- Counting.

# count MODEL CPU OUT ARGUMENT...: one run under the plugin.
count() {
  local model="$1" cpu="$2" out="$3"
  shift 3
  NEARFAR_KERNELS="$kernels" qemu-aarch64 -L "$ARM_ROOT" -cpu "$cpu" -plugin "$PLUGIN,out=$out" \
    "$BUILD/tests/bench/engine_bench" --model "$model" --threads 1 "$@"
}

# count_case MODEL CPU CASE: both runs side by side; a line for arm_table.py.
count_case() {
  local model="$1" cpu="$2" case="$3" tokens first second pids=() said
  local out="$work/$((++number))"
  IFS='|' read -r tokens first second <<<"$(case_runs "$case")"
  echo "bench_arm.sh: $(basename "$model"), $cpu, $case" >&2
  # shellcheck disable=SC2086
  count "$model" "$cpu" "$out.first" $first >"$out.said" 2>"$out.error" & pids+=($!)
  # shellcheck disable=SC2086
  count "$model" "$cpu" "$out.second" $second >/dev/null 2>"$out.error2" & pids+=($!)
  wait "${pids[0]}" && wait "${pids[1]}" || {
    cat "$out.error" "$out.error2" >&2
    fail "engine_bench failed with $model on $cpu"
  }
  said="$(sed -n 's/.*"kernels": "\([^"]*\)".*/\1/p' "$out.said")"
  printf '%s\t' "$(basename "$model" .gguf)" "$cpu" "$said" "$case" "$tokens" "$out.first" >>"$results"
  printf '%s\n' "$out.second" >>"$results"
}

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
prepare_tools
if $mca; then
  prepare_build
  tool="$(find_mca)" || exit
  LD_LIBRARY_PATH="$LLVM/usr/lib/x86_64-linux-gnu" python3 "$ROOT/tests/bench/arm_loops.py" \
    --llvm-mca "$tool" --build "$BUILD" \
    --cpus ${cpus:-neoverse-n1 neoverse-n2 neoverse-v1 neoverse-v2 cortex-a55 cortex-a76}
  exit
fi

results="$work/results"
number=0
files=()
for model in "${models[@]}"; do
  file="$(model_file "$model")" || exit
  files+=("$file")
done
prepare_build
prepare_plugin
for file in "${files[@]}"; do
  # Writes the packed cache, so that no counted run does.
  count "$file" max "$work/unused" --prefill 1 --decode 1 >/dev/null
  for cpu in ${cpus:-cortex-a53 neoverse-n1 max,sve=off max,sve128=on max,sve256=on}; do
    for case in $cases; do count_case "$file" "$cpu" "$case"; done
  done
done
python3 "$ROOT/tests/bench/arm_table.py" "$results" "${by_function[@]}"
