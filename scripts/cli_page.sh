#!/usr/bin/env bash
# Writes docs/cli.md from the parsers of the command line.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/cli_page.sh

Write docs/cli.md from the parsers of the command line. A test fails while the page says something else.
TEXT
    exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/environment.sh"
cd "$root"
exec .venv/bin/python -m scripts.pages.cli
