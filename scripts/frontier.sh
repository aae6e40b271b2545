#!/usr/bin/env bash
# Measures speed against accuracy: models/trained/speeds.json, docs/frontier.svg, docs/performance.md.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/frontier.sh [--machine TEXT] [--rounds N] [--calibration CAMVID] [--engines DIR]
                          [--build] [--page]

Build every network with weights in FP32 and INT8, and let them and other tools take turns on one frame;
write models/trained/speeds.json, from which `roadseg models --fastest` answers, what INT8 gains into
the calibration tables, the chart docs/frontier.svg and the table in docs/performance.md. Wants a calm
machine.

  --machine      its name for the page
  --rounds       turns of each (default: 30)
  --calibration  folder of CamVid with train/ and val/: other input sizes too, calibrated there
  --engines      keep the engines there, and measure those that are there already
  --build        build them, measure nothing
  --page         draw what was measured before
TEXT
    exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/environment.sh"
cd "$root"
exec .venv/bin/python -m scripts.pages.frontier "$@"
