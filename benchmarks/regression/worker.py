"""One side of the comparison as a process: requests as lines in, answers as JSON lines out."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pipeline
from benchmarks.regression.work import ROOT, Burst, Catalogue
from models.library_logs import quiet_imports


def main() -> None:
    """Answer ``list``, ``time NAME`` and ``figure NAME`` until the other end closes."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # printed text must not mix with the answers
    quiet_imports()
    catalogue = Catalogue(sys.argv[1], Path(sys.argv[2]))
    bursts: dict[str, Burst] = {}

    def answer(ask: str, name: str) -> object:
        if ask == "list":
            if not Path(pipeline.__file__).is_relative_to(ROOT):
                raise RuntimeError(f"{pipeline.__file__} would be measured, expected one in {ROOT}")
            return [*catalogue.times, *catalogue.figures]
        if ask == "figure":
            return catalogue.figures[name].measure()
        if name not in bursts:
            bursts[name] = catalogue.times[name]()
            bursts[name]()  # fills caches, warms runtimes up
        return bursts[name]()

    for line in sys.stdin:
        ask, _, name = line.rstrip("\n").partition(" ")
        try:
            reply = {"is": answer(ask, name)}
        except Exception as error:  # the other end reports it
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    main()
