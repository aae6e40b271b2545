#!/usr/bin/env bash
# Puts a Jetson into its highest power mode with fixed clocks, until the next start.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: sudo scripts/jetson/performance.sh [MODE]

Set power mode MODE of nvpmodel and hold the clocks at their maximum. Without it the clocks follow the
load, and latency varies. Some modes ask for a restart.

MODE is a number or a name of the board's own /etc/nvpmodel.conf (default: its MAXN_SUPER, else its
MAXN; where it has neither, the mode stays as it is). Numbers differ between boards: 0 is the highest
of an AGX Orin, and 15 W of an Orin Nano Super.
TEXT
    exit 0
fi

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Lines such as: < POWER_MODEL ID=2 NAME=MAXN_SUPER >
modes() {
    sed -nE 's/^[[:space:]]*<[[:space:]]*POWER_MODEL[[:space:]]+ID=([0-9]+)[[:space:]]+NAME=([^ >]+).*/\1 \2/p' "$conf"
}

# The mode without limits: its number, or nothing.
unlimited() {
    local name
    for name in MAXN_SUPER MAXN; do
        modes | awk -v name="$name" '$2 == name { print $1; found = 1; exit } END { exit !found }' && return
    done
    modes | awk '$2 ~ /^MAXN/ { print $1; exit }'
}

conf=${NVPMODEL_CONF:-/etc/nvpmodel.conf}
command -v nvpmodel >/dev/null || fail "nvpmodel is not installed: this is no Jetson"
[[ $EUID -eq 0 ]] || fail "only the administrator can set power modes: sudo $0 ${1:-}"
[[ -r $conf ]] || fail "$conf, which lists the board's power modes, does not exist"
if [[ -n ${1:-} ]]; then
    mode=$(modes | awk -v wanted="$1" '$1 == wanted || $2 == wanted { print $1; exit }')
    [[ -n $mode ]] || fail "power mode '$1' was given, expected one of this board's: $(modes | tr '\n' ',' | sed 's/,$//; s/,/, /g')"
else
    mode=$(unlimited)
fi
if [[ -n $mode ]]; then
    nvpmodel -m "$mode"
else
    printf 'no MAXN among the modes of %s: the power mode stays as it is\n' "$conf" >&2
fi
jetson_clocks
nvpmodel -q
