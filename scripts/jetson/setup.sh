#!/usr/bin/env bash
# Makes .venv on a Jetson: TensorRT and OpenCV from JetPack, the rest from PyPI, pycuda compiled.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/jetson/setup.sh

Make the environment .venv on a Jetson with JetPack 6 or 7, to build engines from bundles and to run
them. TensorRT and OpenCV (with GStreamer, for the CSI camera) are JetPack's own; torch is not needed.

  CUDA_HOME  where CUDA lies (default: /usr/local/cuda)
TEXT
    exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=$root/.venv
cuda=${CUDA_HOME:-/usr/local/cuda}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

grep -qai jetson /proc/device-tree/model 2>/dev/null ||
    fail "this is no Jetson; on other machines run scripts/environment.sh"
python3 -c 'import tensorrt' 2>/dev/null ||
    fail "TensorRT's Python package is not installed: sudo apt-get install nvidia-jetpack python3-libnvinfer"
python3 -c 'import cv2' 2>/dev/null ||
    fail "OpenCV is not installed: sudo apt-get install nvidia-opencv (or python3-opencv)"
python3 -c 'import venv, ensurepip' 2>/dev/null ||
    fail "Python cannot make environments: sudo apt-get install python3-venv python3-dev"
[[ -x $cuda/bin/nvcc ]] ||
    fail "$cuda/bin/nvcc is missing, pycuda is compiled with it: sudo apt-get install nvidia-jetpack," \
        "or name CUDA's folder with CUDA_HOME"

# JetPack's OpenCV was compiled against NumPy 1: another major version would crash it.
python3 -m venv --system-site-packages "$venv"
pins=$venv/roadseg-pins.txt
grep -vE '^(numpy|opencv-python|openvino)==' "$root/constraints.txt" >"$pins"
printf 'numpy<2\n' >>"$pins"
export PATH=$cuda/bin:$PATH CUDA_ROOT=$cuda
"$venv/bin/python" -m pip install --disable-pip-version-check --constraint "$pins" \
    av msgspec numpy pyyaml shtab tqdm prometheus-client starlette uvicorn websockets
# Against the NumPy that is there, not one that pip would fetch for the build.
"$venv/bin/python" -m pip install --disable-pip-version-check 'setuptools>=77' wheel
"$venv/bin/python" -m pip install --disable-pip-version-check --constraint "$pins" \
    --no-build-isolation pycuda
# The command roadseg; what it depends on is there.
"$venv/bin/python" -m pip install --disable-pip-version-check --no-deps --no-build-isolation \
    --editable "$root"
"$venv/bin/python" -c 'import cv2, numpy, pycuda.driver, tensorrt' ||
    fail "the environment is there, but something in it does not load; its message is above"
exec "$venv/bin/roadseg" doctor
