"""Power of a Jetson while something runs, read from NVIDIA's ``tegrastats``."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import threading
from contextlib import AbstractContextManager

#: Rails with the power of the whole module or board: Orin and Xavier NX; AGX Orin, where
#: VDD_GPU_SOC and others are parts of it; Nano; TX2.
_TOTAL_RAILS = ("VDD_IN", "VIN_SYS_5V0", "POM_5V_IN", "SYS5V")
_RAIL = re.compile(r"\b((?:VDD|VIN|POM|SYS)[A-Z0-9_]*) (\d+)(?:mW)?/(\d+)(?:mW)?")


def watts_of(line: str) -> float | None:
    """Current power in a line of ``tegrastats``; None where it has none.

    That of the whole module's rail where there is one, else the sum of all rails. A rail is written
    ``VDD_IN 4940mW/4940mW``, current and mean; before JetPack 5 without the unit.
    """
    rails = {name: int(now) / 1000 for name, now, _ in _RAIL.findall(line)}
    for name in _TOTAL_RAILS:
        if name in rails:
            return rails[name]
    return sum(rails.values()) if rails else None


class PowerMeter(AbstractContextManager["PowerMeter"]):
    """Samples power during the ``with`` block, where ``tegrastats`` is installed.

    Args:
        command: program that prints the lines.
    """

    def __init__(self, command: str = "tegrastats") -> None:
        self._command = shutil.which(command)
        self._samples: list[float] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> PowerMeter:
        if self._command is not None:
            self._process = subprocess.Popen(
                [self._command, "--interval", "100"],  # milliseconds
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            self._reader = threading.Thread(target=self._read, name="roadseg-power", daemon=True)
            self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._reader is not None:
            self._process.terminate()
            self._reader.join()
            self._process.wait()

    @property
    def watts(self) -> float | None:
        """Mean power; None where nothing was measured."""
        return statistics.fmean(self._samples) if self._samples else None

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if (watts := watts_of(line)) is not None:
                    self._samples.append(watts)
