"""Measured speed and accuracy of the registered networks, in one run on one machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from models.atomic import atomic_path
from models.bounded import read_bytes
from models.errors import ModelError
from models.typed import convert, parse_json

#: Written by ``scripts/frontier.sh``.
SPEEDS = Path(__file__).parent / "speeds.json"

_MOST_BYTES = 1 << 20

#: Tool that runs this project's engines; the others are for comparison.
OURS = "roadseg"


@dataclass(frozen=True)
class Speed:
    """One network with one tool, in one precision and size.

    Attributes:
        network: registry name.
        tool: ``roadseg``, or another one.
        precision: ``int8`` or ``fp32``.
        width, height: of the network's input and of the frames, in pixels.
        miou: on CamVid val, 0 to 1.
        milliseconds: a frame of bytes to its class map, median.
    """

    network: str
    tool: str
    precision: str
    width: int
    height: int
    miou: float
    milliseconds: float

    @property
    def fps(self) -> float:
        """Frames per second, one frame at a time."""
        return 1000 / self.milliseconds


@dataclass(frozen=True)
class Speeds:
    """Results of one run, in which all were timed in turn.

    Attributes:
        machine: processor and its cores.
        date: ISO 8601.
        rounds: number of turns of each.
        rows: in the order of the registry.
    """

    machine: str
    date: str
    rounds: int
    rows: tuple[Speed, ...]

    def save(self, path: Path = SPEEDS) -> None:
        """Write them as JSON, with a line for each row."""
        import json

        head = {"machine": self.machine, "date": self.date, "rounds": self.rounds}
        rows = ",\n".join("  " + json.dumps(asdict(row)) for row in self.rows)
        with atomic_path(path) as temporary:
            temporary.write_text(
                f'{json.dumps(head)[:-1]}, "rows": [\n{rows}\n]}}\n', encoding="utf-8"
            )


def measured_speeds(path: Path = SPEEDS) -> Speeds:
    """Read the measured speeds.

    Raises:
        ModelError: the file is missing or damaged.
    """
    try:
        return convert(parse_json(read_bytes(path, _MOST_BYTES)), Speeds)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the measured speeds {path} cannot be read ({error}); install roadseg again"
        ) from error


def fastest(speeds: Speeds, least_miou: float = 0.0) -> list[Speed]:
    """Return rows of this project's engines that reach an accuracy, the fastest first.

    Args:
        speeds: to choose from.
        least_miou: 0 to 1.

    Raises:
        ModelError: none reaches it; the best is named.
    """
    ours = [row for row in speeds.rows if row.tool == OURS]
    found = [row for row in ours if row.miou >= least_miou]
    if not found:
        best = max(ours, key=lambda row: row.miou)
        raise ModelError(
            f"no measured network reaches {100 * least_miou:g} mIoU; the best, {best.network}, has "
            f"{100 * best.miou:.1f}: give --min-miou {int(1000 * best.miou) / 10:g} or less"
        )
    return sorted(found, key=lambda row: row.milliseconds)
