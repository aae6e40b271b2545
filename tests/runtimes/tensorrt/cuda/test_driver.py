"""How the driver's wrapper uses pycuda once CUDA fails every call; a fake fails likewise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import EngineError

NAME = "pipeline.runtimes.tensorrt.cuda.driver"
ERRORS = "pipeline.runtimes.tensorrt.cuda.driver_errors"


class CudaError(Exception):
    pass


class Fake(ModuleType):
    """A minimal pycuda.driver. Once ``broken``, every call fails, as after error 700."""

    def __init__(self) -> None:
        super().__init__("pycuda.driver")
        self.broken = self.pop_fails = False
        self.pushed = self.detached = 0
        self.freed: list[str] = []
        self.Error, self.MemoryError = CudaError, type("MemoryError", (CudaError,), {})
        self.Context = SimpleNamespace(
            synchronize=self.call, pop=self.pop, get_current=lambda: self.pushed or None
        )
        self.device_attribute = SimpleNamespace(INTEGRATED=18)
        self.event_flags = SimpleNamespace(BLOCKING_SYNC=1)
        fake = self

        class Freed:
            handle = 1

            def __init__(self, *_: Any) -> None:
                fake.call()

            def synchronize(self) -> None:
                fake.call()

            def __del__(self) -> None:  # as pycuda's do
                fake.freed.append(type(self).__name__)

        self.Stream = type("Stream", (Freed,), {})
        self.Event = type("Event", (Freed,), {})

    def call(self) -> None:
        if self.broken:
            raise CudaError("an illegal memory access was encountered")

    def init(self) -> None:
        pass

    def push(self) -> None:
        self.call()
        self.pushed += 1

    def pop(self) -> None:
        if self.pop_fails:
            raise CudaError("cuCtxPopCurrent failed")
        self.pushed -= 1

    def detach(self) -> None:
        self.detached += 1

    def get_driver_version(self) -> int:
        return 13000

    def Device(self, number: int) -> Any:  # noqa: N802  # pycuda's name
        return SimpleNamespace(
            retain_primary_context=lambda: self,
            compute_capability=lambda: (8, 9),
            get_attribute=lambda which: 0,
            name=lambda: "a GPU",
        )


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    made = Fake()
    package = ModuleType("pycuda")
    package.driver = made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", made)
    for name in (NAME, ERRORS):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield made
    for name in (NAME, ERRORS):
        sys.modules.pop(name, None)


@pytest.fixture
def gpu(fake: Fake) -> Any:
    return import_module(NAME).open_gpu()


def test_a_healthy_end_gives_everything_back(fake: Fake, gpu: Any) -> None:
    with gpu.active():
        held = [gpu.stream(), gpu.event()]
        for thing in held:
            thing.release()
    assert fake.freed == ["Stream", "Event"]
    assert fake.pushed == 0
    gpu._leave()
    assert fake.detached == 1


def test_after_cudas_last_word_nothing_is_called_or_freed_and_the_advice_holds(
    fake: Fake, gpu: Any
) -> None:
    with gpu.active():
        stream, event = gpu.stream(), gpu.event()

    def lose() -> None:
        with gpu.active():
            fake.broken = True
            stream.synchronize()

    with pytest.raises(EngineError, match=r"illegal memory access.*restart the process"):
        lose()
    assert gpu.lost
    for thing in (stream, event):
        thing.release()
    assert fake.freed == []  # each would only print a warning
    with pytest.raises(EngineError, match="restart the process"), gpu.active():
        pass
    gpu._leave()
    assert fake.detached == 0
    assert fake.pushed == 0


def test_a_refused_call_that_cuda_survives_ends_nothing(fake: Fake, gpu: Any) -> None:
    def refuse(*_: Any) -> None:
        raise CudaError("invalid value")

    fake.Event = refuse
    with pytest.raises(EngineError, match=r"invalid value.*open the engine again"), gpu.active():
        gpu.event()
    assert not gpu.lost
    with gpu.active():
        gpu.stream().release()


def test_a_context_that_cannot_be_popped_is_in_words_and_off_pycudas_stack(
    fake: Fake, gpu: Any
) -> None:
    """If it stayed there, it would abort the process when its thread ends."""
    fake.pop_fails = True
    with pytest.raises(EngineError, match=r"cuCtxPopCurrent failed.*restart"), gpu.active():
        pass
    assert fake.detached == 1
