#!/usr/bin/env bash
# Makes the pictures of the README and of docs/ again, from the program as it is.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/pictures.sh [--all] [--only page|drive] [--output DIR] [--network NAME] [--source SOURCE]

Photograph the page in Chromium (scripts/system_packages.sh) and segment some seconds of the drawn drive
into a moving picture; needs a calm machine for rates worth showing.

  --all     also views that no page shows, for whoever changes the page
  --only    the page's pictures, or the drive's
  --output  where to put them (default: docs)
TEXT
    exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/environment.sh"
cd "$root"
exec .venv/bin/python -m scripts.pages.pictures "$@"
