#!/usr/bin/env bash
# Fails where this commit is slower, larger or less accurate than the base commit.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/check_fps.sh [--only NAME] [--base REV] [--runtime NAME] [OPTION ...]
       scripts/check_fps.sh --accept --reason TEXT
       scripts/check_fps.sh --history HTML

Measure this tree and the base commit of benchmarks/BASE in turns, each with its own code and engines:
engines, from a file to an overlay video, the stages around the engine, the start, bytes, mIoU (with
ROADSEG_DATA) and the compiled layers of the networks. A loss of time fails if it is measured twice;
any other loss fails at once, and so does a figure that the base has and this tree lacks.

  --only NAME   only measurements with NAME in their name, such as 'segnet_lite int8'; may be repeated
  --base REV    compare with another commit; 'none' measures this tree alone
  --runtime     openvino (the default), tensorrt or tensorrt-rtx; the last two need a GPU
  --accept      make the checked-out commit the new base, for the reason TEXT
  --history     draw the results that pytest-benchmark stored (--benchmark-autosave), measure nothing
  OPTION        of pytest and pytest-benchmark, such as --benchmark-autosave or -x

Exit status: 0 no loss, 1 a loss, 2 wrong usage, 3 the base is not in this clone, so nothing was
compared.
TEXT
    exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/environment.sh"
cd "$root"
case ${1:-} in
--accept) exec .venv/bin/python -m benchmarks.regression.accept "${@:2}" ;;
--history) exec .venv/bin/python -m benchmarks.regression.history "${@:2}" ;;
esac
exec .venv/bin/python -m pytest benchmarks/test_regression.py -q -p no:xdist -p no:cacheprovider "$@"
