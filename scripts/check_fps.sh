#!/usr/bin/env bash
# Fails where this commit is slower, larger or less accurate than the base commit.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/check_fps.sh [--only NAME] [--base REV] [--runtime NAME] [OPTION ...]
       scripts/check_fps.sh --accept --reason TEXT
       scripts/check_fps.sh --history HTML

Measure this tree and the base commit of benchmarks/BASE in turns, each with engines and code of its
own: engines, from a file to an overlay video, the stages around the engine, the start, bytes, mIoU
(with ROADSEG_DATA) and what the compilers made of the networks. A loss of time fails when it is seen
twice; any other loss fails at once; so does a figure that the base has and this tree lacks.

  --only NAME   only what has NAME in its name, such as 'segnet_lite int8'; may be repeated
  --base REV    compare with another commit; 'none' measures this tree alone
  --runtime     openvino (the default), tensorrt or tensorrt-rtx; the last two need a GPU
  --accept      make the commit that is checked out the base, with the reason
  --history     draw what pytest-benchmark stored (--benchmark-autosave), and measure nothing
  OPTION        of pytest and pytest-benchmark, such as --benchmark-autosave or -x

Exit status: 0 nothing lost, 1 something is, 2 wrong usage, 3 the base is not in this clone, so nothing
was judged.
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
