"""The result of an INT8 build: one sentence, a state, and the most important figures."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.engine.manifest import LayerPrecisions, Manifest
from pipeline.evaluation.compare import Comparison
from pipeline.quantization.options import Budget
from pipeline.quantization.search import EVALUATION_RUNTIME, Prepared

MINUS = "\N{MINUS SIGN}"
#: With a space at which no line breaks.
PERCENT = "\N{NO-BREAK SPACE}%"
ARROW = "\N{RIGHTWARDS ARROW}"
_VERBS = {"engine": "run", "builder": "run", "network": "are planned to run"}

_READ = {"engine": "read back from the engine", "builder": "read back from the builder"}


@dataclass(frozen=True)
class Tile:
    """An important figure: its ``label``, the ``value``, and a ``note`` with details."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Summary:
    """The result of a build.

    Attributes:
        state: a few words.
        good: whether a budget was held.
        sentence: the whole result.
        limits: what was not measured or not on this engine; may be empty.
        tiles: the most important figures.
    """

    state: str
    good: bool
    sentence: str
    limits: str
    tiles: tuple[Tile, ...]


def percent(share: float, digits: int = 2) -> str:
    """Write a share from 0 to 1 as percent; a share below 1 is never rounded to 100 %."""
    text = f"{100 * share:.{digits}f}"
    if share < 1 and float(text) >= 100:
        text = f"{100 - 10**-digits:.{digits}f}"
    return f"{text}{PERCENT}"


def points(difference: float) -> str:
    """Write a difference of shares as signed percentage points."""
    text = f"{100 * difference:+.2f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def summarise(manifest: Manifest, prepared: Prepared, budget: Budget) -> Summary:
    """Sum up a build; ``budget`` is the accuracy gate's."""
    comparison = prepared.comparison
    elsewhere = "" if manifest.runtime == EVALUATION_RUNTIME else f" on {EVALUATION_RUNTIME}"
    parts = [_layers(manifest.layers)]
    if comparison is None:
        parts.append("neither accuracy nor speed against FP32 was measured in this build")
    else:
        parts += [_accuracy(comparison), _speed(comparison)]
        number = len(prepared.attempts)
        attempt = "the first attempt" if number == 1 else f"attempt {number}"
        parts.append(f"{_held(comparison, budget)} at {attempt}")
    return Summary(
        state=f"{_state(comparison)}{elsewhere if comparison else ''}",
        good=comparison is not None,
        sentence=f"{manifest.model} for {manifest.runtime}: {'; '.join(parts)}.",
        limits=_limits(manifest, prepared),
        tiles=(*_tiles(comparison), _layer_tile(manifest.layers)),
    )


def _state(comparison: Comparison | None) -> str:
    if comparison is None:
        return "Accuracy not measured"
    return "Agreement held, no labels" if comparison.scores is None else "Budget held"


def _layers(layers: LayerPrecisions) -> str:
    counts = {name.upper(): count for name, count in layers.counts().items() if count}
    int8 = counts.pop("INT8", 0)
    rest = " and ".join(f"{count} in {name}" for name, count in counts.items())
    verb = _VERBS.get(layers.source, "are listed as")
    sentence = f"{int8} of {len(layers.convolutions)} convolutions {verb} in INT8"
    return f"{sentence}, {rest}" if rest else sentence


def _accuracy(comparison: Comparison) -> str:
    agreement = f"{percent(comparison.pixel_agreement)} of pixels keep FP32's class"
    if comparison.scores is None:
        return f"{agreement} on {comparison.frames} frames without labels, so mIoU is not known"
    before, after = comparison.scores
    lost = before.miou - after.miou
    change = f"{abs(100 * lost):.2f} points {'lost' if lost > 0 else 'gained'}"
    return (
        f"mIoU {100 * before.miou:.2f} {ARROW} {100 * after.miou:.2f} ({change}) on "
        f"{after.frames} labelled frames, {agreement}"
    )


def _speed(comparison: Comparison) -> str:
    if comparison.speed is None:
        return "speed against FP32 was not measured"
    return f"{comparison.speed.speedup:.2f} times as fast as FP32"


def _held(comparison: Comparison, budget: Budget) -> str:
    if comparison.scores is None:
        return f"the budget of at least {percent(budget.agreement)} agreement was held"
    return f"the budget of {100 * budget.miou_drop:.2f} points of mIoU was held"


def budget_of(comparison: Comparison, budget: Budget) -> str:
    """Write the budget as a sentence, in mIoU where the frames had labels."""
    if comparison.scores is None:
        return f"Budget: at least {percent(budget.agreement)} of pixels as in FP32."
    return f"Budget: at most {100 * budget.miou_drop:.2f} points of mIoU lost."


def _limits(manifest: Manifest, prepared: Prepared) -> str:
    found = []
    if not manifest.layers.known:
        found.append(
            "Precisions are those planned in the network before it was serialised; they were not "
            "read back from the engine."
        )
    if prepared.comparison is not None and manifest.runtime != EVALUATION_RUNTIME:
        found.append(
            f"Accuracy was measured on {EVALUATION_RUNTIME} with the same Q/DQ graph, in FP32 "
            f"between Q and DQ; the {manifest.runtime} engine itself was not run, so its speed is "
            "not known."
        )
    judged = prepared.table.measured.get("judged")
    if prepared.comparison is None and judged:
        known = f"{percent(judged['pixel_agreement'])} agreement with FP32"
        if "miou" in judged:
            known += f", mIoU {100 * judged['miou_fp32']:.2f} {ARROW} {100 * judged['miou']:.2f}"
        found.append(f"When its table was made, on {judged['frames']} frames, INT8 had {known}.")
    return " ".join(found)


def _tiles(comparison: Comparison | None) -> tuple[Tile, ...]:
    if comparison is None:
        return ()
    found = []
    if comparison.scores is not None:
        before, after = comparison.scores
        note = f"FP32 {100 * before.miou:.2f}, {points(after.miou - before.miou)} points"
        found.append(Tile("mIoU, INT8", f"{100 * after.miou:.2f}", note))
    frames = f"{comparison.frames} frame{'' if comparison.frames == 1 else 's'}"
    found.append(Tile("Pixels as in FP32", percent(comparison.pixel_agreement), frames))
    if comparison.speed is not None:
        before_ms, after_ms = (latency.p50 for latency in comparison.speed.latency)
        speedup = f"{comparison.speed.speedup:.2f} \N{MULTIPLICATION SIGN}"
        note = f"median {before_ms:.1f} {ARROW} {after_ms:.1f} ms, run in turn"
        found.append(Tile("Speed-up", speedup, note))
    return tuple(found)


def _layer_tile(layers: LayerPrecisions) -> Tile:
    counts = layers.counts()
    rest = ", ".join(
        f"{count} {name.upper()}" for name, count in counts.items() if count and name != "int8"
    )
    how = _READ.get(layers.source, "planned, not executed")
    return Tile(
        "Convolutions in INT8",
        f"{counts['int8']} of {len(layers.convolutions)}",
        f"{rest}; {how}" if rest else how,
    )
