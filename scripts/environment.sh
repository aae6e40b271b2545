#!/usr/bin/env bash
# Makes an environment from setup.cfg and its constraints, or does nothing when it is up to date.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/environment.sh [torch-tensorrt-rtx | scale]

Make the environment .venv in the checkout, or update it. Every other script calls this first; if
nothing changed it takes a moment and prints nothing.

  torch-tensorrt-rtx  make .venv-torch-tensorrt instead: PyTorch with CUDA and torch-tensorrt for
                      TensorRT for RTX, 6 GB, for --front-end torch-tensorrt (Linux on x86-64);
                      the old name torch-tensorrt works as well
  scale               make .venv-scale instead: Ray and Triton's client, 1.5 GB, for
                      scripts/check_scale.sh; no PyTorch

  PYTHON      the interpreter to make it with, 3.10 or newer (default: python3)
  PIP_*       pip's own variables, for example
              PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
              takes PyTorch without CUDA, 200 MB instead of several GB
TEXT
    exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python3}
case ${1:-} in
'')
    venv=$root/.venv
    constraints=$root/constraints.txt
    extras=build,page,video,train,rtx,dev
    ;;
torch-tensorrt-rtx | torch-tensorrt)
    venv=$root/.venv-torch-tensorrt
    constraints=$root/constraints-torch-tensorrt.txt
    extras=build,page,video,torch-tensorrt-rtx,dev
    ;;
scale)
    venv=$root/.venv-scale
    constraints=$root/constraints-scale.txt
    extras=archive,triton,scale-dev
    ;;
*)
    printf "error: unknown environment '%s'; say torch-tensorrt-rtx, scale, or nothing\n" "$1" >&2
    exit 2
    ;;
esac
stamp=$venv/roadseg-stamp           # written last: with it the environment is complete
unfinished=$venv/roadseg-unfinished # exists while pip runs: the environment may be broken
log=$venv/install.log

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "error: $*"
    exit 1
}

# What the environment depends on: the requirements, the interpreter, and the folder, since pip
# writes absolute paths into it.
fingerprint() {
    "$venv/bin/python" -I -S -c 'import sys; print(*sys.version_info[:2], *sys.argv[1:])' "$venv" ||
        return
    cat "$root/setup.cfg" "$root/pyproject.toml" "$constraints" | cksum
}

is_current() {
    [[ -f $stamp && -x $venv/bin/python && ! -e $unfinished ]] &&
        [[ $(fingerprint 2>/dev/null) == "$(<"$stamp")" ]]
}

# One run at a time per environment. The lock is on an open file, so it ends with its process.
take_lock() {
    exec 9<"$constraints"
    "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null && return
    say "waiting for another run that makes $venv"
    "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
}

check_python() {
    local version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
        fail "'$python' does not run; Python 3.10 or newer is needed: install it," \
            "or name one with PYTHON=/path/to/python"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "'$python' is Python $version; 3.10 or newer is needed: install one," \
            "and name it with PYTHON=/path/to/python"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "'$python' cannot make environments (no venv or ensurepip);" \
            "on Debian or Ubuntu: apt-get install python$version-venv"
}

# A venv of an interrupted run, of a removed interpreter or of another folder is made again.
is_usable() {
    [[ -x $venv/bin/python && ! -e $unfinished ]] &&
        "$venv/bin/python" -c 'import pip' 2>/dev/null &&
        [[ ! -f $stamp || $(fingerprint | head -n 1) == "$(head -n 1 "$stamp")" ]]
}

# Renamed first: an interrupted deletion must not look like an environment.
discard() {
    rm -rf "$venv-discarded"
    if [[ -e $venv ]]; then mv "$venv" "$venv-discarded"; fi
    rm -rf "$venv-discarded"
}

# A terminal shows pip's current step on one line; the log has all of them.
show_progress() {
    local line
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        if [[ -t 2 && $line =~ ^(Collecting|Installing)\  ]]; then
            printf '\r\033[K%.78s' "  $line" >&2
        fi
    done
    if [[ -t 2 ]]; then printf '\r\033[K' >&2; fi
}

pip_install() {
    if ! "$venv/bin/python" -m pip install --disable-pip-version-check \
        --constraint "$constraints" "$@" 2>&1 | show_progress; then
        tail -n 5 "$log" | cut -c 1-300 >&2
        fail "pip could not install the packages; its last lines are above, all of them in $log"
    fi
}

check_opencv() {
    local reason
    reason=$("$venv/bin/python" -c 'import cv2' 2>&1) ||
        fail "OpenCV does not load (${reason##*$'\n'});" \
            "on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0 libxcb1"
}

is_current && exit 0
if [[ ${1:-} == torch-tensorrt* && $(uname -sm) != 'Linux x86_64' ]]; then
    fail "torch-tensorrt for TensorRT for RTX exists for Linux on x86-64, this is $(uname -sm);" \
        "build with --front-end onnx here"
fi
check_python
take_lock
is_current && exit 0 # another run made it while this one waited

say "preparing the environment $venv (the first time: a few minutes)"
is_usable || discard
rm -f "$stamp"
[[ -d $venv ]] || "$python" -m venv "$venv" || fail "'$python' could not make $venv"
: >"$unfinished"
: >"$log"
# setuptools first and from the constraints, so that the build of the checkout does not fetch its own.
pip_install setuptools
pip_install --no-build-isolation --editable "${root}[$extras]"
rm "$unfinished"
check_opencv
fingerprint >"$stamp.new"
mv "$stamp.new" "$stamp"
say "the environment is ready"
