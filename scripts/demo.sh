#!/usr/bin/env bash
# Builds an engine for this machine and segments a drive with it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=$root/outputs/demo.mp4

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/demo.sh [NETWORK] [RUN OPTIONS]

Build an engine of NETWORK (default: deeplab_v3plus_lite) for this machine, segment a drive with it and
write outputs/demo.mp4. The drive is a motorway video in $ROADSEG_DATA, or, without that variable,
300 frames of the synthetic one. RUN OPTIONS go to `python -m pipeline run`, after the defaults:
  scripts/demo.sh segnet --source my_drive.mp4
  scripts/demo.sh --realtime --sink http       watch it on a page
TEXT
    exit 0
fi

network=deeplab_v3plus_lite
if [[ $# -gt 0 && $1 != -* ]]; then
    network=$1
    shift
fi

"$root/scripts/environment.sh"
python=$root/.venv/bin/python

report=$("$python" -m pipeline build "$network" --output "$root/engines" --json)
engine=$("$python" -c 'import json, sys; print(json.loads(sys.argv[1])["engine"])' \
    "${report##*$'\n'}")

options=("$@")
if [[ " $* " != *" --source"* ]]; then
    drive=${ROADSEG_DATA:-}/videos/udacity_solidWhiteRight.mp4
    if [[ -n ${ROADSEG_DATA:-} && -f $drive ]]; then
        options=(--source "$drive" "$@")
    else
        options=(--source synthetic --frames 300 "$@")
    fi
fi
if [[ " $* " != *" --sink"* ]]; then
    mkdir -p "${out%/*}"
    options+=(--sink "$out")
fi
exec "$python" -m pipeline run "$engine" "${options[@]}"
