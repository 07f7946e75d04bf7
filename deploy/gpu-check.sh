#!/usr/bin/env bash
# Publishes k2-gpu-check as one file for linux-x64 (no .NET needed there) and says how to run it on a GPU host.
# Usage: deploy/gpu-check.sh [DIRECTORY]
set -euo pipefail
directory=$(realpath -m "${1:-gpu-check}")
cd "$(dirname "$0")/.."
dotnet publish src/K2Cluster.GpuCheck -c Release -r linux-x64 --self-contained -p:PublishDocumentationFiles=false -o "$directory"
bytes=$(stat -c %s "$directory/k2-gpu-check")
[ "$bytes" -le $((45 << 20)) ] || { echo "k2-gpu-check has $bytes bytes, more than 45 MiB" >&2; exit 1; }
echo "
scp $directory/k2-gpu-check HOST:
ssh HOST ./k2-gpu-check            # writes gpu-<card>.md and gpu-<card>.json
scp 'HOST:gpu-*' docs/benchmarks/"
