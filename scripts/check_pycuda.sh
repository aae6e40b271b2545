#!/usr/bin/env bash
# The CUDA session's tests with the real pycuda, TensorRT's lean runtime, and a stand-in for the driver's library.
set -euo pipefail
export LC_ALL=C # comm and sort agree

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/check_pycuda.sh [PYTEST OPTIONS]

Build pycuda as scripts/install_pycuda.sh does, and a stand-in for libcuda.so.1 that computes on the
processor and refuses what a driver refuses (tests/support/stand_in_libcuda.cpp); then run the tests
of all code that calls the driver with it. No GPU and no CUDA toolkit are needed. pycuda and the lean
runtime of TensorRT (150 MB) are installed into build/stand-in, beside the packages of .venv.
PYTEST OPTIONS go to pytest, for example: scripts/check_pycuda.sh -k painter
TEXT
    exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
wheels=$root/build/pycuda
folder=$root/build/stand-in
python=$root/.venv/bin/python
pinned() { sed -n "s/^$1==\([^ ;]*\).*/\1/p" "$root/constraints.txt" | head -n 1; }

"$root/scripts/install_pycuda.sh" --wheel-only
wheel=$(compgen -G "$wheels/pycuda-$(pinned pycuda)-*.whl")

# Written last: with it the packages are complete.
stamp=$folder/packages/roadseg-stamp
current=$(cksum "$root/constraints.txt" "$wheel")
if [[ ! -f $stamp || $(<"$stamp") != "$current" ]]; then
    rm -rf "$folder/packages"
    "$python" -m pip install --quiet --disable-pip-version-check --target "$folder/packages" \
        --constraint "$root/constraints.txt" "$wheel" \
        tensorrt-lean-cu13-bindings tensorrt-lean-cu13-libs
    printf '%s\n' "$current" >"$stamp"
fi

# Driver symbols that pycuda needs and the stand-in lacks return "not supported".
support=$root/tests/support
rm -rf "$folder/driver"
mkdir -p "$folder/driver"
c++ -std=c++20 -O2 -fPIC -ffp-contract=off -Wall -Wextra -Werror -c -pthread \
    -I "$root/pipeline/runtimes/tensorrt/cuda" -o "$folder/driver/own.o" "$support/stand_in_libcuda.cpp"
nm --defined-only "$folder/driver/own.o" | awk '{ print $3 }' | sort >"$folder/driver/own.txt"
nm -D --undefined-only "$folder"/packages/pycuda/_driver*.so | awk '$2 ~ /^cu[A-Z]/ { print $2 }' | sort |
    comm -23 - "$folder/driver/own.txt" >"$folder/driver/rest.txt"
awk '{ print "int " $1 "(void) { return 801; }" }' "$folder/driver/rest.txt" |
    cc -fPIC -c -o "$folder/driver/rest.o" -x c -
c++ -shared -pthread -Wl,-soname,libcuda.so.1 -o "$folder/driver/libcuda.so.1" \
    "$folder/driver/own.o" "$folder/driver/rest.o"

cd "$root"
export OMP_NUM_THREADS=1
toolkit=$(echo "$wheels"/headers/nvidia/cu*)
export LD_LIBRARY_PATH=$folder/driver:$toolkit/lib PYTHONPATH=$folder/packages${PYTHONPATH:+:$PYTHONPATH}
export ROADSEG_REQUIRE_STAND_IN=1 # a test that needs the stand-in fails where it is not loaded
exec "$python" -m pytest -p no:benchmark -m "not gpu" -k "stand_in or stand-in" --durations=10 \
    --numprocesses=2 --dist=loadfile \
    tests/runtimes/test_session.py tests/runtimes/tensorrt/test_session.py \
    tests/runtimes/tensorrt/cuda/test_refusals.py tests/runtimes/tensorrt/stand_in "$@"
