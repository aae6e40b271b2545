#!/usr/bin/env bash
# Trains the networks that have no weights yet, several at once, within a time; --help lists the
# options.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [[ -z ${PYTHON:-} ]]; then
    "$root/scripts/environment.sh"
    PYTHON=$root/.venv/bin/python
fi
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
exec "$PYTHON" -m scripts.zoo_training "$@"
