#!/usr/bin/env bash
# Configures and builds one preset of CMakePresets.json in build/PRESET, and shows how far it is.
#
#   scripts/build.sh PRESET [TARGET...]   e.g. scripts/build.sh release nearfar nearfard
#
# The whole log is build/PRESET.log. Where the build fails its errors are printed; the exit code is 1.
set -uo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/.." || exit 70

case "${1:-}" in
  --help|-h) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
  ''|-*) echo "build.sh: which preset? (try --help)" >&2; exit 64 ;;
esac
preset=$1
shift
targets=()
[ $# -eq 0 ] || targets=(--target "$@")

mkdir -p build
log=build/$preset.log
: >"$log" || exit 73

# Ninja's "[12/345] ..." as one line a tenth of the way, or as one moving line on a terminal.
progress() {
  local line percent shown=0
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]] || continue
    percent=$((100 * BASH_REMATCH[1] / BASH_REMATCH[2]))
    if [ -t 1 ]; then
      printf '\rbuilding %s: %d of %d ' "$preset" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
    elif [ $((percent / 10)) -gt $((shown / 10)) ]; then
      echo "building $preset: $percent % of ${BASH_REMATCH[2]} steps (${SECONDS} s)"
    fi
    shown=$percent
  done
  if [ -t 1 ] && [ "$shown" -gt 0 ]; then printf '\n'; fi
}

if ! cmake --preset "$preset" >>"$log" 2>&1; then
  grep -nE -A 4 'CMake Error' "$log" | head -n 30
elif cmake --build --preset "$preset" -j "$(nproc)" "${targets[@]}" 2>&1 | progress; then
  echo "built $preset (${SECONDS} s)"  # also where there was nothing to do
  exit 0
else
  grep -nE 'error|FAILED' "$log" | head -n 30
  tail -n 15 "$log"
fi
echo "build.sh: the build of $preset failed; the whole log is $log" >&2
exit 1
