#!/usr/bin/env bash
# Measures the INT8 ranges of registered weights and registers them.
set -euo pipefail

if [[ $# -lt 1 || $1 == -h || $1 == --help ]]; then
    cat <<'TEXT'
usage: scripts/calibrate.sh NETWORK [CAMVID]

Calibrate the registered weights of NETWORK on the training frames of CAMVID (default:
$ROADSEG_DATA/camvid), compare INT8 with FP32 on its val frames, store the table in models/trained
for builds without --calibration, and write docs/accuracy.md. The engine and its report
stay in engines/.
TEXT
    exit $(($# < 1 ? 2 : 0))
fi

network=$1
camvid=$(realpath "${2:-${ROADSEG_DATA:?set ROADSEG_DATA, or give the folder of CamVid}/camvid}")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/environment.sh"
cd "$root"
.venv/bin/roadseg build "$network" --precision int8 \
    --calibration "$camvid/train" --data "$camvid/val"
cp "engines/$network-openvino-int8.calibration.json" "models/trained/$network.calibration.json"
exec .venv/bin/python -m scripts.pages.accuracy
