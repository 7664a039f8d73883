#!/usr/bin/env bash
# Fills a private root with Debian's arm64 libraries, so that the preset `arm64` can build the engine
# on an x86 box and qemu-aarch64 can run it. Nothing is installed on the system: apt downloads into a
# folder of its own, dpkg unpacks. Runs again without work if the root is already whole.
#
#   scripts/arm64_root.sh            # the root is ${NEARFAR_ARM64_ROOT:-~/.cache/nearfar/arm64-root}
#   scripts/arm64_root.sh --force    # fill it anew
#   cmake --preset arm64 && cmake --build --preset arm64
#   qemu-aarch64 -L ~/.cache/nearfar/arm64-root -cpu cortex-a53 build/arm64/tests/...
set -euo pipefail

root=${NEARFAR_ARM64_ROOT:-$HOME/.cache/nearfar/arm64-root}
packages=(libabsl-dev libgtest-dev libgmock-dev libssl-dev zlib1g-dev libstdc++-12-dev libgcc-12-dev
          libc6-dev)
stamp=$root/.nearfar-stamp
# What the stamp must say: another list of packages means another root.
wanted="1 ${packages[*]}"

fail() {
  echo "arm64_root: $1" >&2
  echo "arm64_root: $2" >&2
  exit 1
}

case "${1:-}" in
  "") ;;
  --force) rm -f "$stamp" ;;
  -h | --help)
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  *) fail "unknown option '$1'" "try --help" ;;
esac

if [[ -f $stamp && $(cat "$stamp") == "$wanted" ]]; then
  echo "arm64_root: $root is ready"
  exit 0
fi
for tool in apt-get dpkg; do
  command -v "$tool" >/dev/null ||
    fail "$tool is missing" "this script needs a Debian or Ubuntu machine; on another one, fill $root by hand"
done

# Everything is made in a folder beside the root, and takes its place when it is whole.
mkdir -p "$(dirname "$root")"
work=$(mktemp -d "$root.new.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,cache/archives/partial,root}
: >"$work/status"
apt=(apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64
     -o Dir::State::status="$work/status" -o Dir::State::Lists="$work/lists"
     -o Dir::Cache="$work/cache")
# apt fetches as the user _apt, who cannot enter a private folder; without root it stays us anyway.
[[ $(id -u) -eq 0 ]] && apt+=(-o APT::Sandbox::User=root)

echo "arm64_root: reading the package lists of the machine's own sources, for arm64"
"${apt[@]}" update >"$work/log" 2>&1 || {
  tail -n 5 "$work/log" >&2
  fail "cannot read the package lists" "check the network and /etc/apt; the sources must serve arm64 too"
}
echo "arm64_root: downloading ${#packages[@]} packages and what they need (about 45 MB)"
"${apt[@]}" -y --no-install-recommends --download-only install "${packages[@]}" >"$work/log" 2>&1 || {
  tail -n 5 "$work/log" >&2
  fail "cannot download the packages" "check the network and free disk space, then run this again"
}
shopt -s nullglob
debs=("$work"/cache/archives/*.deb)
[[ ${#debs[@]} -gt 0 ]] || fail "apt downloaded nothing" "run with --force after 'apt-get update'"
echo "arm64_root: unpacking ${#debs[@]} packages"
for deb in "${debs[@]}"; do
  dpkg -x "$deb" "$work/root" ||
    fail "cannot unpack $(basename "$deb")" "check free disk space in $(dirname "$root"), then run this again"
done

# A link to /usr/lib/... would leave the root: make it relative.
while IFS= read -r -d '' link; do
  target=$(readlink "$link")
  folder=$(dirname "${link#"$work/root"}")
  ln -sfn "$(realpath -m -s --relative-to="$folder" "$target")" "$link"
done < <(find "$work/root" -type l -lname '/*' -print0)
# Programs ask for /lib/ld-linux-aarch64.so.1, which current packages put under /usr/lib.
if [[ ! -e $work/root/lib ]]; then ln -s usr/lib "$work/root/lib"; fi

[[ -e $work/root/lib/ld-linux-aarch64.so.1 ]] ||
  fail "the unpacked root has no loader" "run with --force; if it stays so, the sources are not Debian's arm64"
echo "$wanted" >"$work/root/.nearfar-stamp"
rm -rf "$root"
mv "$work/root" "$root"
chmod 755 "$root"
echo "arm64_root: $root is ready ($(du -sh "$root" | cut -f1))"
