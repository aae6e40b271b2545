#!/usr/bin/env bash
# Measures speed against accuracy: models/speeds.json, docs/frontier.svg, docs/performance.md;
# --help lists the options.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/environment.sh"
cd "$root"
# Threads of PyTorch that wait for their next turn would otherwise take a core from whoever is next.
export OMP_WAIT_POLICY=PASSIVE
unset OMP_NUM_THREADS
exec .venv/bin/python -m scripts.pages.frontier "$@"
