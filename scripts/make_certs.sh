#!/bin/sh
# Makes a private certificate authority and, signed by it, one server and one client certificate for
# mutual TLS between two nearfar processes.
#
#   scripts/make_certs.sh DIR [NAME|ADDRESS ...]
#
# The server certificate holds for localhost, 127.0.0.1, ::1 and every further name or address given.
# Files: ca.crt ca.key server.crt server.key client.crt client.key (keys 0600). Running it again keeps
# what is there, unless a certificate ends within 30 days, does not belong to the CA or its key, or
# lacks a name.
set -eu

fail() {
  echo "make_certs.sh: $1" >&2
  exit "${2:-70}"
}

case ${1:-} in
  --help | -h) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
  '' | -*) fail "which folder? (try --help)" 64 ;;
esac
command -v openssl >/dev/null 2>&1 || fail "openssl is not installed (apt-get install openssl)" 69
dir=$1
shift
mkdir -p "$dir" || fail "cannot create the folder $dir" 73
umask 077
cd "$dir"
work=$(mktemp -d .make_certs.XXXXXX)
trap 'rm -rf "$work"' EXIT INT TERM

alt_names() {
  printf 'DNS:localhost,IP:127.0.0.1,IP:::1'
  for name in "$@"; do
    case $name in
      localhost | 127.0.0.1 | ::1) ;;
      *[!0-9A-Za-z.:*_-]* | '') fail "\"$name\" is neither a host name nor an address" 64 ;;
      *:*) printf ',IP:%s' "$name" ;;
      *[!0-9.]*) printf ',DNS:%s' "$name" ;;
      *) printf ',IP:%s' "$name" ;;
    esac
  done
}

run() {
  openssl "$@" 2>"$work/log" || {
    cat "$work/log" >&2
    fail "openssl $1 failed"
  }
}

# Does the certificate $1.crt last another 30 days, and is it the one of $1.key?
holds() {
  [ -s "$1.crt" ] && [ -s "$1.key" ] || return 1
  openssl x509 -in "$1.crt" -noout -checkend 2592000 >/dev/null 2>&1 || return 1
  [ "$(openssl x509 -in "$1.crt" -noout -pubkey 2>/dev/null)" = \
    "$(openssl pkey -in "$1.key" -pubout 2>/dev/null)" ]
}

new_key() { run genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/$1.key"; }

# Both files of a pair are moved into place when both are whole.
keep() {
  mv "$work/$1.key" "$1.key"
  mv "$work/$1.crt" "$1.crt"
}

make_ca() {
  new_key ca
  run req -x509 -new -key "$work/ca.key" -sha256 -days 3650 -subj "/CN=nearfar private CA" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" \
    -addext "keyUsage=critical,keyCertSign,cRLSign" -out "$work/ca.crt"
  keep ca
}

# make_leaf FILE COMMON_NAME USAGE [ALT_NAMES]
make_leaf() {
  new_key "$1"
  run req -new -key "$work/$1.key" -subj "/CN=$2" -out "$work/$1.csr"
  {
    echo "basicConstraints=critical,CA:FALSE"
    echo "keyUsage=critical,digitalSignature"
    echo "extendedKeyUsage=$3"
    if [ -n "${4:-}" ]; then echo "subjectAltName=$4"; fi
  } >"$work/$1.ext"
  run x509 -req -in "$work/$1.csr" -CA ca.crt -CAkey ca.key -sha256 -days 825 \
    -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/$1.ext" -out "$work/$1.crt"
  keep "$1"
}

signed() { openssl verify -CAfile ca.crt "$1.crt" >/dev/null 2>&1; }

# The names that the server certificate must hold; kept to know whether they are the same next time.
names=$(alt_names "$@")

holds ca || make_ca
if ! { holds server && signed server && [ "$(cat server.names 2>/dev/null)" = "$names" ]; }; then
  make_leaf server nearfar-server serverAuth "$names"
  printf '%s\n' "$names" >server.names
fi
if ! { holds client && signed client; }; then
  make_leaf client nearfar-client clientAuth
fi
echo "certificates in $(pwd): ca.crt server.crt server.key client.crt client.key"
