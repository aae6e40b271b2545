"""Cost of unpooling: an INT8 engine beside the same one without pooling indices.

The other engine is like public ports of SegNet: plain max pooling, nearest-neighbour upsampling. It
is another network, so only its time is used.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest
import torch.nn.functional as F
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from calibration.scenes.synthetic import SyntheticDrive
from models.unpooling import MaxPoolPhases, MaxUnpoolPhases, Pooled
from pipeline.build.build import build
from pipeline.build.options import BuildOptions
from pipeline.runtimes.registry import open_session

TURNS = 15
#: Share of an engine's time that unpooling may take.
ASKED = 0.08


def plain_pool(_: MaxPoolPhases, x: Tensor) -> Pooled:
    """Pool without recording positions."""
    values = F.max_pool2d(x, 2)
    return Pooled(values, values, (x.shape[-2], x.shape[-1]))


def plain_unpool(_: MaxUnpoolPhases, x: Tensor, pooled: Pooled) -> Tensor:
    """Enlarge by nearest neighbour, odd sizes padded as unpooling pads them."""
    enlarged = F.interpolate(x, scale_factor=2.0, mode="nearest")
    height, width = pooled.size
    bottom, right = height - enlarged.shape[-2], width - enlarged.shape[-1]
    return F.pad(enlarged, (0, right, 0, bottom)) if bottom or right else enlarged


@pytest.mark.filterwarnings("ignore")  # the exporters' own
@pytest.mark.parametrize("name", ["segnet_lite", "segnet"])
def test_share_of_unpooling(
    benchmark: BenchmarkFixture, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compare processor time of one thread, which depends least on the load."""
    ours = build(_options(name, tmp_path / "ours"), lambda what, share: None)
    monkeypatch.setattr(MaxPoolPhases, "forward", plain_pool)
    monkeypatch.setattr(MaxUnpoolPhases, "forward", plain_unpool)
    plain = build(_options(name, tmp_path / "plain"), lambda what, share: None)
    frame = SyntheticDrive(480, 360).frame(0)[0][None]
    times: dict[str, list[float]] = {"ours": [], "plain": []}
    with open_session(ours, threads=1) as one, open_session(plain, threads=1) as other:

        def turn() -> None:
            for which, session in (("ours", one), ("plain", other)):
                start = time.process_time()
                session.run(frame)
                times[which].append(time.process_time() - start)

        benchmark.pedantic(turn, rounds=TURNS, warmup_rounds=2)
    shares = [1 - b / a for a, b in zip(times["ours"], times["plain"], strict=True)]
    benchmark.extra_info["share"] = statistics.median(shares)
    benchmark.extra_info["share_asked"] = ASKED
    benchmark.extra_info["ms"] = {n: statistics.median(t) * 1e3 for n, t in times.items()}


def _options(name: str, folder: Path) -> BuildOptions:
    return BuildOptions(name, precision="int8", output=folder)
