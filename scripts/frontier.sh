#!/usr/bin/env bash
# Measures speed against accuracy: models/speeds.json, docs/frontier.svg, docs/performance.md;
# --help lists the options.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/environment.sh"
cd "$root"
# Otherwise waiting threads of PyTorch would spin on a core that the next measurement needs.
export OMP_WAIT_POLICY=PASSIVE
unset OMP_NUM_THREADS
exec .venv/bin/python -m scripts.pages.frontier "$@"
