#!/usr/bin/env bash
# Builds every network at full width on OpenVINO and TensorRT for RTX and writes docs/models.md;
# --help lists the options.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/environment.sh"
cd "$root"
exec .venv/bin/python -m scripts.pages.zoo "$@"
