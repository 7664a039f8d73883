#!/usr/bin/env bash
# Fetches and verifies model files into ${NEARFAR_MODELS:-~/.cache/nearfar/models}.
# See scripts/models.sh --help; the work is in fetch_models.py, the facts are in models.json.
set -euo pipefail
if ! command -v python3 >/dev/null 2>&1; then
  echo "models.sh: python3 is missing; run scripts/setup.sh first" >&2
  exit 69
fi
exec python3 "$(dirname -- "${BASH_SOURCE[0]}")/fetch_models.py" "$@"
