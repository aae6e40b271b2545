"""One step of scripts/check_gpu.sh: ``python -m scripts.gpu_check STEP FILE.json [SCALE]``.

SCALE is 1 on a GPU; over the stand-in driver (tests/support) a smaller share of the work is done.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.errors import RoadsegError

STEPS = ("doctor", "driver", "overlay", "session", "illegal", "networks")


def main() -> int:
    """Run a step; results, missing parts and failures all go into the file."""
    step, file = sys.argv[1], Path(sys.argv[2])
    scale = float(sys.argv[3]) if len(sys.argv) > 3 else 1.0
    # tests/support has the network in TensorRT's place.
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))
    began = time.monotonic()
    found: dict[str, Any] = {"step": step, "ok": False}

    def write(**values: Any) -> None:
        found.update(values, seconds=round(time.monotonic() - began, 1))
        file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")

    write()
    try:
        import_module(f"scripts.gpu_check.{step}").measure(write, scale)
    except ImportError as error:
        write(missing=str(error))
    except RoadsegError as error:
        write(failed=str(error))
    except Exception as error:
        write(failed=f"{type(error).__name__}: {error}", traceback=traceback.format_exc())
    else:
        write(ok=not found.get("failed") and not found.get("missing"))
    print(f"{step}: {'done' if found['ok'] else found.get('missing') or found.get('failed')}")
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
