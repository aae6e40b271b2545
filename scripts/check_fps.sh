#!/usr/bin/env bash
# Measures how fast everything is, and fails where it became slower than what was recorded.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/check_fps.sh [--precision none|int8|fp32|fp16|bf16] [--runtime NAME] [--runs N]
       scripts/check_fps.sh --update --reason TEXT [--busy] [--precision ...] [--runtime NAME]
       scripts/check_fps.sh --history HTML

Measure engines, from a file to an overlay video, and the stages around the engine, each in turn
with a reference load, and compare with benchmarks/baselines. A loss beyond the limit fails when it
is there in two measurements; so does a figure that one side does not have. mIoU needs ROADSEG_DATA.

  --precision  engines of this one, or none, what stands around them; default: none and int8
  --runtime    openvino (the default), tensorrt or tensorrt-rtx; the last two need a GPU
  --runs N     check N times; all have to pass
  --update     record what is measured (five times, for the spread), with the reason
  --busy       with --update: leave out, by name, what only a quiet machine can measure
  --history    draw what was recorded, commit by commit, and measure nothing

Exit status: 0 as fast as recorded, 1 slower, 2 wrong usage, 3 no baseline of this processor model, so
nothing was judged.
TEXT
    exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/environment.sh"
cd "$root"
exec .venv/bin/python -m pipeline.gate "$@"
