#!/usr/bin/env bash
# Puts a Jetson into its highest power mode with fixed clocks, until the next start.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: sudo scripts/jetson/performance.sh [MODE]

Set power mode MODE of nvpmodel (default: 0, the highest of most boards) and hold the clocks at their
maximum. Without it the clocks follow the load, and latency varies. Some modes ask for a restart.
TEXT
    exit 0
fi

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

command -v nvpmodel >/dev/null || fail "nvpmodel is not there: this is no Jetson"
[[ $EUID -eq 0 ]] || fail "power modes are the administrator's: sudo $0 ${1:-}"
nvpmodel -m "${1:-0}"
jetson_clocks
nvpmodel -q
