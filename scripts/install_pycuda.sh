#!/usr/bin/env bash
# Builds pycuda without the CUDA toolkit, from NVIDIA's headers on PyPI, and installs it in .venv.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/install_pycuda.sh [--wheel-only]

Build pycuda at the version of constraints.txt, and install it in .venv together with NVRTC. pycuda
comes as source only. The headers are NVIDIA's packages on PyPI, so the CUDA toolkit, nvcc and a GPU are
not needed, but a C++ compiler and Python's headers are. cuRAND, which nothing here uses, is left out.
The wheel is kept in build/pycuda and not built again.

  --wheel-only  build the wheel, install nothing
TEXT
    exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$root/build/pycuda
python=$root/.venv/bin/python
"$root/scripts/environment.sh"
pinned() { sed -n "s/^$1==\([^ ;]*\).*/\1/p" "$root/constraints.txt" | head -n 1; }
version=$(pinned pycuda)

if ! compgen -G "$folder/pycuda-$version-*.whl" >/dev/null; then
    printf 'building pycuda %s (a few minutes)\n' "$version" >&2
    rm -rf "$folder"
    mkdir -p "$folder/headers" "$folder/lib" "$folder/home"
    "$python" -m pip install --quiet --no-deps --target "$folder/headers" \
        "nvidia-cuda-runtime==$(pinned nvidia-cuda-runtime)" nvidia-cuda-crt==13.0.88 \
        nvidia-cuda-profiler-api==13.0.85
    toolkit=$(echo "$folder"/headers/nvidia/cu*)
    ln -s "$toolkit"/lib/libcudart.so.* "$folder/lib/libcudart.so"
    # The driver's library may be missing here. This one has no symbols; the wheel will load the real
    # one.
    cc -shared -Wl,-soname,libcuda.so.1 -o "$folder/lib/libcuda.so" -x c /dev/null
    printf 'CUDA_ENABLE_CURAND = False\n' >"$folder/home/.aksetup-defaults.py"
    HOME=$folder/home CUDA_ROOT=$toolkit CPATH=$toolkit/include LIBRARY_PATH=$folder/lib \
        LDFLAGS=-Wl,--no-as-needed \
        "$python" -m pip wheel --quiet --no-cache-dir --no-deps \
        --wheel-dir "$folder" "pycuda==$version"
fi
[[ ${1:-} == --wheel-only ]] && exit 0
"$python" -m pip install --quiet --constraint "$root/constraints.txt" \
    "$folder"/pycuda-"$version"-*.whl nvidia-cuda-nvrtc
printf 'pycuda %s is installed\n' "$version" >&2
