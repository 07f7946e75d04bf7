#!/usr/bin/env bash
# Compiles every k2_*.cu to ptx/<target>/NAME.ptx and writes ptx/manifest.sha256 and ptx/opcodes.txt. The result depends on the sources and on clang 19 only.
# usage: build.sh           writes kernels/ptx
#        build.sh --check   builds elsewhere and fails where the committed files differ
set -euo pipefail
cd "$(dirname "$0")"
export LC_ALL=C

targets='sm_80 sm_90'
clang=$(command -v clang-19) || { echo "clang-19 is missing: apt-get install clang-19" >&2; exit 1; }
check=
case "${1-}" in
  '') out=ptx ;;
  --check) check=yes; out=$(mktemp -d); trap 'rm -rf "$out"' EXIT ;;
  *) echo "usage: build.sh [--check]" >&2; exit 2 ;;
esac

rm -rf "$out"/sm_* "$out"/manifest.sha256 "$out"/opcodes.txt
for target in $targets; do
  mkdir -p "$out/$target"
  for source in k2_*.cu; do
    # PTX 7.8 runs on drivers from CUDA 11.8 on. Contraction is off: where an fma is meant, it is written.
    # Comments go: they carry the names of the compiler's own blocks and nothing that the driver reads.
    "$clang" -x cuda --cuda-device-only --cuda-gpu-arch=$target --cuda-feature=+ptx78 -nocudainc -nocudalib -no-canonical-prefixes \
      -std=c++17 -O3 -ffp-contract=off -fno-jump-tables -fno-ident -Wall -Wextra -Werror -Wno-unknown-cuda-version -S "$source" -o - |
      sed -e 's|[[:space:]]*//.*$||' -e '/^[[:space:]]*\.file[[:space:]]/d' -e '/^[[:space:]]*$/d' > "$out/$target/${source%.cu}.ptx"
  done
done
# Every instruction form in use: what an emulator must know.
cat "$out"/sm_*/*.ptx | sed -E 's/^[[:space:]]*(@!?%p[0-9]+[[:space:]]+)?//' | grep -oE '^[a-z][a-zA-Z0-9_.:]*[[:space:];]' | tr -d ' \t;' | sort -u > "$out/opcodes.txt"
(cd "$out" && sha256sum sm_*/*.ptx > manifest.sha256)

if [ -n "$check" ]; then
  diff -r "$out" ptx || { echo "kernels/ptx is not what build.sh makes: run kernels/build.sh and commit" >&2; exit 1; }
  echo "kernels/ptx: $(wc -l < ptx/manifest.sha256) files as built"
fi
