"""A real Triton server, as nvidia-pytriton contains it: for the CPU, with the Python backend."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

_PATIENCE = 60.0


class TritonServer:
    """Serves a repository on the loopback address; start, kill, stop and continue it.

    Args:
        python: interpreter of the environment with nvidia-pytriton and OpenVINO.
        repository: the model repository.
        folder: for the server's own files.
    """

    def __init__(self, python: Path, repository: Path, folder: Path) -> None:
        [site] = (python.parent.parent / "lib").glob("python3*/site-packages")
        self._site = site
        self._bin = python.parent
        self._repository = repository
        self._backends = folder / "backends"
        self.log = folder / "triton.log"
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        server = site / "pytriton" / "tritonserver"
        backend = self._backends / "python"
        shutil.copytree(server / "backends" / "python", backend)
        version = site.parent.name.removeprefix("python")
        stub = "triton_python_backend_stub"
        shutil.copy(server / "python_backend_stubs" / version / stub, backend / stub)
        self._program = server / "bin" / "tritonserver"

    def address(self, model: str) -> str:
        return f"triton://127.0.0.1:{self.port}/{model}"

    def start(self) -> None:
        """Start it, and wait until it listens: its models are then loaded."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(self._program),
                    f"--model-repository={self._repository}",
                    f"--backend-directory={self._backends}",
                    "--grpc-address=127.0.0.1",
                    f"--grpc-port={self.port}",
                    "--allow-http=0",
                    "--allow-metrics=0",
                    "--exit-on-error=0",
                ],
                env={
                    "PATH": f"{self._bin}:{os.environ['PATH']}",
                    "LD_LIBRARY_PATH": str(self._site / "nvidia_pytriton.libs"),
                    "OMP_NUM_THREADS": "1",
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._listens():
            assert self._process.poll() is None, self.log.read_text(errors="replace")[-2000:]
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")[-2000:]
            time.sleep(0.05)

    def signal(self, number: int) -> None:
        """Send a signal to the server and to the processes of its models."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it as ``kill -9`` does; a server that was never started is fine."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGKILL)
            self._process.wait()

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
