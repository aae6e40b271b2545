#!/usr/bin/env bash
# Writes docs/accuracy.md from the registry and the cards in models/trained.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/accuracy_page.sh

Write docs/accuracy.md from what the registry and the cards in models/trained say. It measures
nothing: cards come from `python -m pipeline train NETWORK --data DIR --publish`.
TEXT
    exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/environment.sh"
cd "$root"
exec .venv/bin/python -m scripts.pages.accuracy
