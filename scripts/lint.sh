#!/usr/bin/env bash
# The checks beside the tests: layout, floors, documents, clang-tidy.
#
#   scripts/lint.sh                    all of them
#   scripts/lint.sh --tidy-minutes N   stop clang-tidy after N minutes (default 20); changed files
#                                      come first, what was not reached is said
#
# Results go to build/test-results/extra.tsv too, where .ci/run counts them.
set -uo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/.." || exit 70

minutes=20
while [ $# -gt 0 ]; do
  case "$1" in
    --tidy-minutes) [ $# -gt 1 ] || { echo "lint.sh: --tidy-minutes needs a number" >&2; exit 64; }
                    minutes=$2; shift ;;
    --help|-h) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "lint.sh: unknown option '$1' (try --help)" >&2; exit 64 ;;
  esac
  shift
done

mkdir -p build/test-results
failed=0
# check NAME COMMAND...: prints one line where all is well, the command's own words where not.
check() {
  local name=$1 output code
  shift
  output=$("$@" 2>&1)
  code=$?
  if [ $code -eq 0 ]; then
    echo "ok      $name${output:+: $(tail -n 1 <<<"$output")}"
    printf 'pass\t%s\tok\n' "$name" >>build/test-results/extra.tsv
  else
    printf '%s\n' "$output" | head -n 80
    echo "FAILED  $name"
    printf 'fail\t%s\tsee the lines above\n' "$name" >>build/test-results/extra.tsv
    failed=1
  fi
}

check "layout" python3 scripts/check_layout.py
check "floors" python3 scripts/check_floors.py
check "documents" python3 scripts/check_docs.py
check "clang-tidy" python3 scripts/run_tidy.py --minutes "$minutes"
exit $failed
