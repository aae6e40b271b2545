#!/usr/bin/env bash
# Every check of the project; CI runs this very script.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/check.sh [--fast] [PYTEST OPTIONS]

Run shellcheck, ruff, mypy, import-linter and the tests, all of them even if one fails.
PYTEST OPTIONS go to pytest, for example: scripts/check.sh -k unpooling

  --fast  leave out the tests marked slow, of more than five seconds each; the others take two or three
          minutes on two cores

  ROADSEG_DATA           folder with road data; the tests that need it are skipped without it
  ROADSEG_REQUIRE_DATA   1: such a skip is a failure (CI sets it)
  ROADSEG_REQUIRE_SYSTEM 1: a skip because scripts/system_packages.sh was not run is a failure, too
TEXT
    exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/environment.sh"
cd "$root"
PATH=$root/.venv/bin:$PATH
failed=()
tests=()
if [[ ${1:-} == --fast ]]; then
    tests=(-m "not slow")
    shift
fi

check() {
    printf '== %s\n' "$*"
    "$@" || failed+=("$*")
}

if command -v shellcheck >/dev/null; then # its package has no build for ARM64
    check shellcheck .ci/run scripts/*.sh scripts/jetson/*.sh
fi
check ruff check
check ruff format --check
check mypy
check lint-imports --no-logo
# One thread per test process; OpenVINO's threads share the other cores.
cores=$(nproc)
export OMP_NUM_THREADS=1 # after nproc, which would obey it
check pytest -p no:benchmark --numprocesses=$((cores < 4 ? cores : 4)) --dist=worksteal --durations=30 \
    "${tests[@]}" "$@"

if [[ ${#failed[@]} -gt 0 ]]; then
    printf 'failed: %s\n' "${failed[@]}" >&2
    exit 1
fi
