#!/usr/bin/env bash
# Makes the pictures of the README and of docs/ again; --help lists the options.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/environment.sh"
cd "$root"
exec .venv/bin/python -m scripts.pages.pictures "$@"
