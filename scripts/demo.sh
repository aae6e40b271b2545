#!/usr/bin/env bash
# Segments a drive with an engine for this machine, which is built the first time.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=$root/outputs/demo.mp4

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/demo.sh [NETWORK] [RUN OPTIONS]

Segment a drive with NETWORK (default: deeplab_v3plus_lite) and write outputs/demo.mp4. The engine is
built for this machine the first time, and used again while it is current. The drive is a motorway
video in $ROADSEG_DATA, or, without that variable, 300 frames of the synthetic one. RUN OPTIONS go to
`roadseg run`, after the defaults:
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
exec "$root/.venv/bin/roadseg" run "$network" "${options[@]}"
