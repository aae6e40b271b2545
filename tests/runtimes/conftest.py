"""A small network, and engines of it for the platforms that sessions are tested on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from device_double import GpuDouble
from host_kernel import HostKernel
from rigs import RIGS, DoubleRig, Rig, open_rig, small_input, write_engine
from torch import nn

from pipeline.engine.manifest import Engine
from pipeline.graph.deployment import DeploymentGraph
from pipeline.runtimes.eager import EagerSession


@pytest.fixture(scope="session")
def reference() -> EagerSession:
    """PyTorch on the processor, with the network from which all engines here are made."""
    # A small network keeps hundreds of runs short; other tests check its results.
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 11, 3, padding=1)
    )
    return EagerSession(DeploymentGraph(network, small_input()))


@pytest.fixture(scope="session")
def engine_of(
    reference: EagerSession, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Rig], Engine]:
    """Write the engine of a rig, once for each kind of rig."""
    made: dict[type[Rig], Engine] = {}

    def engine(rig: Rig) -> Engine:
        if type(rig) not in made:
            made[type(rig)] = write_engine(rig, reference._graph, tmp_path_factory.mktemp("rig"))
        return made[type(rig)]

    return engine


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest) -> Rig:
    """Each platform that the session is tested on, in turn."""
    return open_rig(request.param, lambda: request.getfixturevalue("host_kernel"))


@pytest.fixture
def double(host_kernel: HostKernel) -> DoubleRig:
    """The double only, for tests that need its checks."""
    return DoubleRig(host_kernel)


@pytest.fixture
def gpu(double: DoubleRig) -> GpuDouble:
    return double.double


@pytest.fixture
def engine(double: DoubleRig, engine_of: Callable[[Rig], Engine]) -> Engine:
    """An engine of the double."""
    return engine_of(double)
