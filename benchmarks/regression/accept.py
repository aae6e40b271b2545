"""``scripts/check_fps.sh --accept``: the checked-out commit becomes the base."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date

from benchmarks.regression.sides import BASE, ROOT, Base, SideError, Worker, git
from benchmarks.regression.work import LISTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Write ``benchmarks/BASE``; return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/check_fps.sh --accept", description=__doc__)
    parser.add_argument("--reason", required=True, help="why these figures may be the new ones")
    reason = " ".join(parser.parse_args(arguments).reason.split())
    if not reason:
        parser.error("--reason is empty; say why these figures may be the new ones")
    try:
        if changed := git("status", "--porcelain"):
            first = changed.splitlines()[0].strip()
            raise SideError(
                f"the tree differs from its commit ({first}); commit first, then accept"
            )
        base = Base(git("rev-parse", "HEAD"), date.today().isoformat(), reason, _listed())
    except SideError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    BASE.write_text(json.dumps(asdict(base), indent=1) + "\n", encoding="utf-8")
    sys.stderr.write(f"wrote {BASE.relative_to(ROOT)}: {base.commit[:12]}; commit it\n")
    return 0


def _listed() -> dict[str, float]:
    """Measure the figures of this tree that are the same on every machine."""
    worker = Worker(ROOT, "openvino")
    try:
        names = [name for name in worker.ask("list") if name.startswith(LISTED)]
        return {name: worker.ask(f"figure {name}") for name in names}
    finally:
        worker.close()


if __name__ == "__main__":
    sys.exit(main())
