#!/usr/bin/env bash
# scripts/build_engine.sh segnet [options]: `roadseg build` with its environment.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/environment.sh"
exec "$root/.venv/bin/roadseg" build "$@"
