#!/usr/bin/env bash
# Installs llama.cpp, pinned, as what nearfar is measured beside: a native build of some minutes, once.
# Runs again without work if it is there.
#
#   scripts/install_peer.sh     # into ${NEARFAR_PEER:-~/.cache/nearfar/peer}, a Python environment
#
# Its Python is ${NEARFAR_PEER}/bin/python.
set -euo pipefail

readonly PEER="${NEARFAR_PEER:-$HOME/.cache/nearfar/peer}"
readonly VERSION="0.3.36"

case "${1:-}" in
  "") ;;
  --help|-h) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "install_peer.sh: unknown option '$1' (try --help)" >&2; exit 64 ;;
esac

if "$PEER/bin/python" -c "import llama_cpp; assert llama_cpp.__version__ == '$VERSION'" 2>/dev/null; then
  exit 0
fi
echo "install_peer.sh: installing llama-cpp-python $VERSION into $PEER (some minutes)" >&2
python3 -m venv "$PEER"
"$PEER/bin/pip" install --quiet "llama-cpp-python==$VERSION" numpy || {
  echo "install_peer.sh: pip failed (its words are above); is the network there, and did" >&2
  echo "scripts/setup.sh run? Then run this again." >&2
  exit 69
}
