#!/usr/bin/env bash
# Builds pycuda's wheel without a GPU and without the CUDA toolkit, and imports it.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/check_pycuda.sh

Show that the extra "gpu" can be installed: build pycuda as scripts/install_pycuda.sh does, and look
for every name that the project's CUDA driver module uses.

The driver's library is missing where there is no GPU. An empty one stands in for it, so that the
wheel can be linked and imported; nothing is run.
TEXT
    exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$root/build/pycuda
python=$root/.venv/bin/python
pinned() { sed -n "s/^$1==\([^ ;]*\).*/\1/p" "$root/constraints.txt" | head -n 1; }
version=$(pinned pycuda)

"$root/scripts/install_pycuda.sh" --wheel-only

# A stand-in with every symbol that the wheel wants of the driver.
rm -rf "$folder/unpacked" "$folder/stand-in"
mkdir "$folder/unpacked" "$folder/stand-in"
"$python" -m zipfile -e "$folder"/pycuda-"$version"-*.whl "$folder/unpacked"
nm -D --undefined-only "$folder"/unpacked/pycuda/_driver*.so |
    awk '$2 ~ /^cu[A-Z]/ { print "int " $2 "(void) { return 999; }" }' |
    cc -shared -Wl,-soname,libcuda.so.1 -o "$folder/stand-in/libcuda.so.1" -x c -
"$python" -m pip install --quiet --target "$folder/unpacked" --constraint "$root/constraints.txt" \
    pytools mako platformdirs
toolkit=$(echo "$folder"/headers/nvidia/cu*)
cd "$root"
LD_LIBRARY_PATH=$folder/stand-in:$toolkit/lib PYTHONPATH=$folder/unpacked "$python" - <<'PYTHON'
import ast
from pathlib import Path

import pycuda.driver as cuda

source = Path("pipeline/runtimes/tensorrt/cuda/driver.py").read_text(encoding="utf-8")
nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)]
names = sorted({ast.unparse(node) for node in nodes if ast.unparse(node).startswith("cuda.")})
for name in names:
    found = cuda
    for part in name.split(".")[1:]:
        found = getattr(found, part)
methods = {
    cuda.Context: ("push", "pop", "detach", "synchronize"),
    cuda.Device: ("retain_primary_context", "compute_capability", "get_attribute", "name"),
    cuda.Stream: ("handle", "wait_for_event", "synchronize"),
    cuda.Event: ("record", "synchronize", "time_since"),
    cuda.DeviceAllocation: ("free", "__int__"),
    cuda.PagelockedHostAllocation: ("free", "get_device_pointer"),
    cuda.Module: ("get_function",),
    cuda.Function: ("prepare", "prepared_async_call"),
}
for kind, wanted in methods.items():
    for name in wanted:
        getattr(kind, name)
version = ".".join(map(str, cuda.get_version()))
print(f"pycuda, compiled for CUDA {version}, has all {len(names)} names that are used")
PYTHON
