"""A wheel, installed into an environment that contains only it and its dependencies."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from installed import Installed

ROOT = Path(__file__).parents[2]

#: Replaces PyTorch: cameras have none.
NO_TORCH = 'raise ModuleNotFoundError("No module named \'torch\'", name="torch")\n'
#: A user's own packages, with the names that ours have in the checkout.
OWN = ("models", "pipeline", "calibration")


def pip(*arguments: str) -> None:
    """Run pip without the network."""
    command = [sys.executable, "-m", "pip", "--quiet", *arguments, "--no-deps", "--no-index"]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run ``pip wheel .`` in a copy of the checkout, so that it leaves nothing here."""
    folder = tmp_path_factory.mktemp("wheel")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing tells the project's files from others")
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("docs/", "tests/", "benchmarks/")):
            (folder / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "copy" / name).symlink_to(ROOT / name)
    pip("wheel", str(folder / "copy"), "--no-build-isolation", "--wheel-dir", str(folder))
    [made] = folder.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a separate environment; its dependencies are borrowed from this one."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    pip("--python", str(python), "install", "--no-compile", str(wheel))
    site = python.parent.parent / "lib" / f"python{sysconfig.get_python_version()}/site-packages"
    borrowed = sysconfig.get_path("purelib")
    (site / "borrowed.pth").write_text(f"{borrowed}\n", encoding="utf-8")
    (site / "torch.py").write_text(NO_TORCH, encoding="utf-8")
    user = folder / "user"
    for name in OWN:
        (user / name).mkdir(parents=True)
        (user / name / "__init__.py").write_text("MINE = True\n", encoding="utf-8")
    return Installed(python, user, folder / "cache")
