#!/usr/bin/env bash
# The tests of the torch-tensorrt front end, in the environment that it needs.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/check_torch_tensorrt.sh [PYTEST OPTIONS]

Make the environment .venv-torch-tensorrt (6 GB the first time) and run the tests there that need
torch-tensorrt. They need no GPU, and take about six minutes on one core.
PYTEST OPTIONS go to pytest, for example: scripts/check_torch_tensorrt.sh -k unet
TEXT
    exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/environment.sh" torch-tensorrt-rtx
cd "$root"
# Tests of torch-tensorrt, and of the parser with this environment's version of TensorRT.
cores=$(nproc)
export OMP_NUM_THREADS=1 # after nproc, which would obey it
exec .venv-torch-tensorrt/bin/pytest -p no:benchmark \
    --numprocesses=$((cores < 4 ? cores : 4)) --dist=worksteal \
    tests/runtimes/tensorrt/test_torch_tensorrt.py tests/runtimes/tensorrt/test_torch_tensorrt_target.py \
    tests/runtimes/tensorrt/test_interpreter.py "$@"
