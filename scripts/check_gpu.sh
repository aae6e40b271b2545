#!/usr/bin/env bash
# Checks on a GPU, in at most five minutes and without a network: one JSON file after each step.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: scripts/check_gpu.sh [--output FOLDER]
       scripts/check_gpu.sh --fetch

Run on a machine with an NVIDIA GPU, nvcc and a PyTorch for it; TensorRT, OpenVINO and PyAV are not
needed. Every step writes a JSON file into FOLDER (default: build/check-gpu) with its results, missing
parts and failures. The exit status is 1 if a step was not done.

  1-pycuda     pycuda compiled here from its sources, without cuRAND
  2-doctor     versions, GPU, driver
  3-networks   trained networks in FP16, channels last, eager and compiled by PyTorch
  4-driver     pinned copies, overlap of copy and compute, nesting, threads, no output at exit
  5-overlay    the overlay kernel against the processor's picture
  6-sanitizer  the same under compute-sanitizer, if it is installed
  7-session    the session with PyTorch in TensorRT's place against ONNX Runtime, and an illegal access
  8-tests      the session's tests marked gpu, if pytest is installed

  --fetch  on a machine with a network: download what pip will need into build/gpu-wheels (2 MB), to
           be copied to the GPU machine; nothing is run

  PYTHON              the interpreter with PyTorch (default: python3)
  ROADSEG_GPU_SCALE   share of the work, to try the script with the stand-in driver (default: 1)
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python3}
wheels=$root/build/gpu-wheels
packages=$root/build/gpu-packages
output=$root/build/check-gpu
scale=${ROADSEG_GPU_SCALE:-1}
pinned() { sed -n "s/^$1==\([^ ;]*\).*/\1/p" "$root/constraints.txt" | tail -n 1; }

fetch() {
    rm -rf "$wheels"
    "$python" -m pip download --quiet --no-deps --no-build-isolation --no-binary pycuda \
        --dest "$wheels" "pycuda==$(pinned pycuda)"
    local name
    for name in pytools mako platformdirs markupsafe siphash24 typing-extensions msgspec shtab; do
        "$python" -m pip download --quiet --no-deps --only-binary :all: --python-version 3.12 \
            --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --dest "$wheels" \
            "$name==$(pinned "$name")"
    done
    printf 'carry %s\n' "$wheels" >&2
}

while [[ $# -gt 0 ]]; do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --fetch)
        fetch
        exit 0
        ;;
    --output)
        output=${2:?--output needs a folder}
        shift 2
        ;;
    *)
        printf "error: unknown option '%s'; see scripts/check_gpu.sh --help\n" "$1" >&2
        exit 2
        ;;
    esac
done
mkdir -p "$output"
output=$(cd "$output" && pwd)
cd "$root"
began=$SECONDS
failed=0
export PYTHONPATH=$packages:$root:$root/tests/support${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1

# Writes the result of an external command: name, status, its last lines.
told() {
    "$python" - "$output/$1.json" "$2" "$3" "$4" <<'PYTHON'
import json, sys
from pathlib import Path
file, step, status, log = sys.argv[1:]
lines = Path(log).read_text(errors="replace").splitlines()[-30:]
ok = status == "0"
found = {"step": step, "ok": ok, "status": status, "said": lines}
Path(file).write_text(json.dumps(found, indent=2) + "\n")
print(f"{step}: {'done' if ok else status}")
PYTHON
}

# The given seconds, or the time left if that is less.
most() {
    local left=$((290 - SECONDS + began))
    if [[ $left -lt 1 ]]; then left=1; fi
    if [[ $left -lt $1 ]]; then printf '%d' "$left"; else printf '%d' "$1"; fi
}

step() { # number-name, seconds, module
    printf -- '-- %s (after %d s)\n' "$1" $((SECONDS - began))
    local status=0
    timeout "$(most "$2")" "$python" -m scripts.gpu_check "$3" "$output/$1.json" "$scale" || status=$?
    if [[ $status == 124 ]]; then printf '%s: cut off by the time\n' "$3"; fi
    if [[ $status != 0 ]]; then failed=1; fi
}

build_pycuda() {
    if "$python" -c 'import pycuda.driver' 2>/dev/null; then
        printf 'pycuda is there already\n'
        return
    fi
    local source toolkit stubs=$root/build/gpu-stubs
    source=$(compgen -G "$wheels/pycuda-*.tar.gz") || {
        printf 'missing: %s; run scripts/check_gpu.sh --fetch where there is a network\n' "$wheels"
        return 3
    }
    command -v nvcc >/dev/null || {
        printf 'missing: nvcc\n'
        return 3
    }
    toolkit=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")
    [[ -f $toolkit/include/cuda.h ]] || toolkit=/usr/local/cuda # nvcc may be a wrapper
    rm -rf "$packages" "$stubs"
    mkdir -p "$packages" "$stubs/home"
    "$python" -m pip install --quiet --no-index --no-deps --target "$packages" "$wheels"/*.whl
    # As in scripts/install_pycuda.sh: it asks for the driver's library and needs no symbol of it yet.
    cc -shared -Wl,-soname,libcuda.so.1 -o "$stubs/libcuda.so" -x c /dev/null
    printf 'CUDA_ENABLE_CURAND = False\n' >"$stubs/home/.aksetup-defaults.py"
    # Not optimised, to be ready soon: the wrapped calls take the time.
    HOME=$stubs/home CUDA_ROOT=$toolkit CPATH=$toolkit/include LDFLAGS=-Wl,--no-as-needed \
        LIBRARY_PATH=$stubs:$toolkit/lib64 CFLAGS='-O0 -g0' \
        timeout 180 "$python" -m pip install --quiet --no-index --no-deps --no-build-isolation --no-cache-dir \
        --target "$packages" "$source"
    "$python" -c 'import pycuda.driver as cuda; print("compiled for CUDA", *cuda.get_version())'
}

# In the background: it takes longest, and the first steps do not need it.
log=$output/pycuda.log
build_pycuda >"$log" 2>&1 &
building=$!
step 2-doctor 40 doctor
step 3-networks 100 networks
status=0
wait $building || status=$?
told 1-pycuda pycuda $status "$log" && [[ $status == 0 ]] || failed=1
rm -f "$log"
step 4-driver 60 driver
step 5-overlay 60 overlay

log=$output/sanitizer.log
printf -- '-- 6-sanitizer (after %d s)\n' $((SECONDS - began))
status=0
if command -v compute-sanitizer >/dev/null; then
    timeout "$(most 60)" compute-sanitizer --tool memcheck --error-exitcode 9 \
        "$python" -m scripts.gpu_check overlay "$output/sanitized.json" 0.1 >"$log" 2>&1 || status=$?
else
    printf 'missing: compute-sanitizer\n' >"$log"
    status=missing
fi
told 6-sanitizer sanitizer $status "$log" # it refuses some machines: no failure of ours
rm -f "$log" "$output/sanitized.json"

step 7-session 100 session
step 7-illegal 60 illegal
# Eight files at most are brought back from some machines.
"$python" - "$output" <<'PYTHON'
import json, sys
from pathlib import Path
folder = Path(sys.argv[1])
file, more = folder / "7-session.json", folder / "7-illegal.json"
if file.exists() and more.exists():
    found = json.loads(file.read_text())
    found["illegal_access"] = json.loads(more.read_text())
    file.write_text(json.dumps(found, indent=2) + "\n")
    more.unlink()
PYTHON

log=$output/tests.log
left=$(most 290)
printf -- '-- 8-tests (after %d s)\n' $((SECONDS - began))
status=0
if ! "$python" -c 'import pytest' 2>/dev/null; then
    printf 'missing: pytest\n' >"$log"
    status=missing
elif [[ $left -lt 20 ]]; then
    printf 'no time was left\n' >"$log"
    status=124
else
    timeout "$left" "$python" -m pytest -q -p no:benchmark -p no:cacheprovider -p no:xdist -m gpu \
        tests/runtimes/test_session.py tests/runtimes/tensorrt/test_session.py \
        tests/runtimes/tensorrt/cuda/test_refusals.py >"$log" 2>&1 || status=$?
fi
told 8-tests tests $status "$log" && [[ $status == 0 || $status == missing ]] || failed=1
rm -f "$log"
printf -- '-- done after %d s; the files are in %s\n' $((SECONDS - began)) "$output"
exit $failed
