#!/usr/bin/env bash
# Builds every network at full width on OpenVINO and TensorRT for RTX and writes docs/models.md.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/build_zoo.sh [--missing] [--compare] [--page] [NETWORK ...]

Build networks (default: all) at full width and 480x360, FP32 on OpenVINO and FP16 on TensorRT for
RTX, keep what was found in benchmarks/zoo.json and write docs/models.md from it. An hour for all.

  --missing   only networks that have no measurement yet
  --compare   also time the pairs of networks on the page
  --page      measure nothing, write the page again
TEXT
    exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/environment.sh"
cd "$root"
exec .venv/bin/python -m scripts.pages.zoo "$@"
