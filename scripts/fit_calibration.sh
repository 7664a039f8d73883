#!/usr/bin/env bash
# Fits the shipped calibration anew: asks both models the project's own questions and fits the heads.
#
#   scripts/fit_calibration.sh             collect (about 15 minutes on 2 cores, resumable), then fit
#   scripts/fit_calibration.sh --fit-only  fit from the outcomes that are checked in (seconds)
#
# The far model, which is slower, answers every second question. Outcomes hold no question or answer
# text; the figures that are printed are of templates that the fitted heads did not see.
set -uo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/.." || exit 70

near=qwen2.5-coder-0.5b-instruct-q4_k_m
far=qwen2.5-coder-1.5b-instruct-q4_k_m
questions=policies/questions/everyday.jsonl
outcomes=policies/calibrations/$near.outcomes.jsonl
calibration=policies/calibrations/$near.calibration.yaml

collect=true
case "${1:-}" in
  '') ;;
  --fit-only) collect=false ;;
  --help|-h) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "fit_calibration.sh: unknown option '$1' (try --help)" >&2; exit 64 ;;
esac

nearfar=
for candidate in build/release build/dev build/demo; do
  [ -x $candidate/router/cli/nearfar ] && nearfar=$candidate/router/cli/nearfar && break
done
if [ -z "$nearfar" ]; then
  echo "fit_calibration.sh: nearfar is not built (scripts/build.sh release nearfar)" >&2
  exit 69
fi

if $collect; then
  scripts/models.sh qwen2.5-coder-0.5b qwen2.5-coder-1.5b || exit $?
  half=$(mktemp) fresh=$outcomes.part
  trap 'rm -f "$half"' EXIT
  awk 'NR % 2 == 0' $questions >"$half"
  "$nearfar" collect --questions "$half" --near $near --far $far --out "$fresh" || exit $?
  "$nearfar" collect --questions $questions --near $near --out "$fresh" || exit $?
  mv "$fresh" $outcomes
fi

"$nearfar" calibrate --questions $questions --outcomes $outcomes --near $near --far $far \
  --out $calibration
