#!/usr/bin/env bash
# The tests of Ray and Triton, in the environments that they need.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/check_scale.sh [--prepare | PYTEST OPTIONS]

Make the environments .venv-scale (Ray, Triton's client; 1.4 GB the first time) and .venv-triton (a real
Triton server; 0.6 GB), and run their tests. They need no GPU, and take three minutes on two cores.
PYTEST OPTIONS go to pytest, for example: scripts/check_scale.sh -k triton

  --prepare  make the environments, and run nothing
TEXT
    exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
scripts/environment.sh scale

# The server has its own environment, since its NumPy is too old for this project.
server=$root/.venv-triton
wanted=$({
    .venv-scale/bin/python -c 'import sys; print(sys.version_info[:2], sys.argv)' "$server"
    cat constraints-triton.txt
} | cksum)
if [[ $(cat "$server/roadseg-stamp" 2>/dev/null) != "$wanted" ]]; then
    echo "preparing the environment $server" >&2
    rm -rf "$server"
    "${PYTHON:-python3}" -m venv "$server"
    "$server/bin/python" -m pip install --quiet --disable-pip-version-check \
        --requirement constraints-triton.txt 2>"$server/install.log" || {
        tail -n 5 "$server/install.log" >&2
        echo "error: pip could not install Triton's server; its last lines are above" >&2
        exit 1
    }
    printf '%s\n' "$wanted" >"$server/roadseg-stamp"
fi
if [[ ${1:-} == --prepare ]]; then exit 0; fi

export ROADSEG_TRITON_PYTHON=$server/bin/python
export OMP_NUM_THREADS=1
# The fixtures of the other tests need PyTorch, which is not installed here.
exec .venv-scale/bin/pytest --confcutdir=tests/scale --durations=5 tests/scale "$@"
