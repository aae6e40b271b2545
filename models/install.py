"""Commands that install missing packages, in a checkout or beside an installed wheel."""

from __future__ import annotations

from pathlib import Path

#: Only a checkout has pins and scripts.
_ROOT = Path(__file__).parents[1]


def in_checkout() -> bool:
    """Whether this code runs from a checkout, and not from a wheel."""
    return (_ROOT / "constraints.txt").is_file() and (_ROOT / "scripts").is_dir()


def install_package(name: str) -> str:
    """Return the command that installs a package."""
    pip = ".venv/bin/pip install -c constraints.txt" if in_checkout() else "pip install"
    return f"{pip} {name}"


def install_extra(extra: str) -> str:
    """Return the command that installs an extra of setup.cfg."""
    if in_checkout():
        return f".venv/bin/pip install -c constraints.txt -e '.[{extra}]'"
    return f"pip install 'roadseg[{extra}]'"


def install_pycuda() -> str:
    """Return the command that brings pycuda, which is source only, and NVRTC."""
    if in_checkout():
        return "scripts/install_pycuda.sh"
    return f"{install_extra('gpu')} (with a C++ compiler and CUDA's headers)"


def use_torch_tensorrt() -> str:
    """Return what to do to build with torch-tensorrt, which has an environment of its own."""
    if in_checkout():
        return "run scripts/environment.sh torch-tensorrt-rtx and build with that environment"
    return f"{install_extra('torch-tensorrt-rtx')} in an environment of its own"
