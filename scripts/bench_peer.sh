#!/usr/bin/env bash
# Sets nearfar beside llama.cpp: same machine, same files, same threads, one run, pairs interleaved,
# medians. Installs the pinned peer (scripts/install_peer.sh) and builds nearfar where that is still
# to be done.
set -euo pipefail

readonly ROOT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
readonly PEER="${NEARFAR_PEER:-$HOME/.cache/nearfar/peer}"

usage() {
  cat <<'EOF'
usage: scripts/bench_peer.sh [--pairs N] [--threads "1 2"] [--prefill N] [--decode N]
                             [--depth "0 2048"] [--program FILE] [MODEL ...]

Prints tokens per second of nearfar and llama.cpp with their ratio, and how near nearfar comes to what
this machine can do (nearfar bench), as a Markdown table. MODEL is a name or alias that
scripts/models.sh knows, or the path of a GGUF file; default: the three default files. --depth tells how
many tokens stand in the context before those that are decoded. --program takes a nearfar that is built
already. Run it on a quiet machine: both sides suffer from a busy core, llama.cpp more.

example: scripts/bench_peer.sh --pairs 3 --threads 2 smollm2-135m-instruct-q4_1
EOF
}

pairs=3
threads="1 2"
prefill=512
decode=128
depth="0 2048"
program=""
models=()
while (($#)); do
  case "$1" in
    --pairs|--threads|--prefill|--decode|--depth|--program)
      (($# > 1)) || { echo "bench_peer.sh: $1 needs a value (see --help)" >&2; exit 64; } ;;
  esac
  case "$1" in
    --pairs) pairs="$2"; shift 2 ;;
    --threads) threads="$2"; shift 2 ;;
    --prefill) prefill="$2"; shift 2 ;;
    --decode) decode="$2"; shift 2 ;;
    --depth) depth="$2"; shift 2 ;;
    --program) program="$2"; shift 2 ;;
    --help|-h) usage; exit 0 ;;
    -*) echo "bench_peer.sh: unknown option $1 (see --help)" >&2; exit 64 ;;
    *) models+=("$1"); shift ;;
  esac
done
if ((${#models[@]} == 0)); then
  models=(smollm2-135m-instruct-q4_1 qwen2.5-coder-0.5b-instruct-q4_k_m
          qwen2.5-coder-1.5b-instruct-q4_k_m)
fi

build_nearfar() {
  "$ROOT/scripts/build.sh" release nearfar >&2
  program="$ROOT/build/release/router/cli/nearfar"
}

# measure SIDE FILE THREADS: one line of JSON.
measure() {
  local arguments=(--model "$2" --threads "$3" --prefill "$prefill" --decode "$decode" --runs 1
                   --depth "${depth// /,}")
  if [[ "$1" == nearfar ]]; then
    "$program" bench "${arguments[@]}" --json
  else
    "$PEER/bin/python" "$ROOT/tests/bench/peer_bench.py" "${arguments[@]}"
  fi
}

files=()
for model in "${models[@]}"; do
  if [[ "$model" == *.gguf && -f "$model" ]]; then
    files+=("$model")
    continue
  fi
  file="$("$ROOT/scripts/models.sh" --path "$model")" || exit
  [[ -f "$file" ]] || "$ROOT/scripts/models.sh" "$model" || exit
  files+=("$file")
done
"$ROOT/scripts/install_peer.sh"
if [[ -z "$program" ]]; then build_nearfar; fi

results="$(mktemp)"
trap 'rm -f "$results"' EXIT
for file in "${files[@]}"; do
  model="$(basename "$file" .gguf)"
  for count in $threads; do
    for ((pair = 1; pair <= pairs; ++pair)); do
      for side in nearfar llama.cpp; do
        echo "bench_peer.sh: $model, $count thread(s), pair $pair of $pairs, $side" >&2
        line="$(measure "$side" "$file" "$count")" || {
          echo "bench_peer.sh: measuring $side with $model failed" >&2
          exit 70
        }
        printf '%s\t%s\t%s\t%s\n' "$model" "$count" "$side" "$line" >>"$results"
      done
    done
  done
done
python3 "$ROOT/tests/bench/peer_table.py" "$results" "$prefill" "$decode"
