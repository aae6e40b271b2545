#!/usr/bin/env bash
# Measures speed against accuracy: models/trained/speeds.json, docs/frontier.svg, docs/performance.md;
# --help lists the options.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/environment.sh"
cd "$root"
exec .venv/bin/python -m scripts.pages.frontier "$@"
