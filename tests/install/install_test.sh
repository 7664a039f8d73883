#!/usr/bin/env bash
# install_test.sh BUILD SOURCE COMPILER: what find_package(nearfar) gives is enough to build with.
set -euo pipefail
build=$1 source=$2 compiler=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" >"$work/install.log" ||
  { tail -n 20 "$work/install.log"; exit 1; }

# The installed program finds what was installed beside it, and not the source tree.
"$work/prefix/bin/nearfar" policy check offline | grep -q '^offline: ok'
"$work/prefix/bin/nearfard" --help >/dev/null

# Each header alone: nothing that it needs was left at home, and none leaks a third-party wire.
while read -r header; do
  printf '#include "%s"\n' "$header" >"$work/one.cc"
  "$compiler" -std=c++20 -fsyntax-only -I "$work/prefix/include/nearfar" "$work/one.cc" ||
    { echo "$header does not compile alone"; exit 1; }
done < <(cd "$work/prefix/include/nearfar" && find . -name '*.h' | sed 's|^\./||' | sort)
if grep -rnE '#include [<"](grpc|google/protobuf|sqlite3|boost|yaml-cpp)' "$work/prefix/include"; then
  echo "a public header leaks a third-party type"
  exit 1
fi

for example in "$source"/examples/*/; do
  name=$(basename "$example")
  cmake -S "$example" -B "$work/$name" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" \
        -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=Debug >"$work/$name.log" 2>&1 &&
    cmake --build "$work/$name" >>"$work/$name.log" 2>&1 || { tail -n 30 "$work/$name.log"; exit 1; }
done

# Wrong use is told; a real question where the smallest default model is there.
"$work/embed_router/embed_router" >/dev/null 2>&1 && exit 1
model=${NEARFAR_MODELS:-$HOME/.cache/nearfar/models}/smollm2-135m-instruct-q4_1.gguf
if [ -f "$model" ]; then
  "$work/embed_router/embed_router" "$model" "$work/prefix/share/nearfar/presets/offline.yaml" \
    "What is the capital of France?" >"$work/answer" 2>"$work/events"
  grep -q 'answered by near' "$work/events" && [ -s "$work/answer" ] ||
    { cat "$work/answer" "$work/events"; exit 1; }
else
  echo "the question was left out: $model is not there"
fi
