"""CUDA source to machine code through NVRTC, NVIDIA's compiler as a library; needs no GPU.

It comes with the CUDA toolkit (on a Jetson: with JetPack), or from PyPI as ``nvidia-cuda-nvrtc``.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from pathlib import Path

from models.install import install_package
from pipeline.errors import RuntimeMissingError

_TOOLKIT = Path("/usr/local/cuda")


@cache
def _library() -> ctypes.CDLL:
    """Load the system's NVRTC, else the one from PyPI.

    The system's comes first, since a Jetson's driver refuses code from a newer CUDA.
    """
    reasons = []
    for name in (*_system_names(), *_packaged()):
        try:
            # NVRTC opens its second library by name, and finds it if it is loaded already. That is
            # only possible for absolute paths; the working directory may belong to anybody.
            if Path(name).is_absolute():
                for builtins in sorted(Path(name).parent.glob("libnvrtc-builtins.so.*")):
                    ctypes.CDLL(str(builtins))
            return ctypes.CDLL(name)
        except OSError as error:
            reasons.append(str(error))
    raise RuntimeMissingError(
        f"NVRTC, which compiles the overlay for the GPU, cannot be loaded ({reasons[0]}); run: "
        f"{install_package('nvidia-cuda-nvrtc')}"
    )


def _system_names() -> list[str]:
    installed = sorted(_TOOLKIT.glob("lib64/libnvrtc.so.*"), key=lambda path: len(path.name))
    return [*map(str, installed[:1]), "libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"]


def _packaged() -> list[str]:
    return [
        str(library)
        for folder in map(Path, sys.path)
        if folder.is_absolute() and folder.name in {"site-packages", "dist-packages"}
        for library in sorted(folder.glob("nvidia/*/lib/libnvrtc.so.*"))
    ]


def version() -> tuple[int, int]:
    """CUDA version of the compiler, major and minor.

    Raises:
        RuntimeMissingError: there is no compiler.
    """
    major, minor = ctypes.c_int(), ctypes.c_int()
    _library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def architectures() -> tuple[str, ...]:
    """Every GPU architecture that this compiler knows, such as ``sm75``."""
    count = ctypes.c_int()
    _library().nvrtcGetNumSupportedArchs(ctypes.byref(count))
    found = (ctypes.c_int * count.value)()
    _library().nvrtcGetSupportedArchs(found)
    return tuple(f"sm{number}" for number in found)


def compile_cubin(source: str, architecture: str) -> bytes:
    """Compile CUDA C++ without includes for one GPU architecture, such as ``sm89``.

    Raises:
        RuntimeMissingError: there is no NVRTC, or it does not know the architecture or the source.
    """
    nvrtc = _library()
    program = ctypes.c_void_p()
    text = source.encode()
    _checked(nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, b"roadseg.cu", 0, None, None))
    try:
        number = architecture.removeprefix("sm")
        # FMA rounds once where the processor, which draws the same pictures, rounds twice.
        options = (f"--gpu-architecture=sm_{number}".encode(), b"--fmad=false")
        array = (ctypes.c_char_p * len(options))(*options)
        if nvrtc.nvrtcCompileProgram(program, len(options), array):
            raise RuntimeMissingError(
                f"NVRTC {'.'.join(map(str, version()))} does not compile the overlay for "
                f"{architecture} ({_log(program)}); it knows {', '.join(architectures())}"
            )
        size = ctypes.c_size_t()
        _checked(nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size)))
        image = ctypes.create_string_buffer(size.value)
        _checked(nvrtc.nvrtcGetCUBIN(program, image))
        return image.raw
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _checked(status: int) -> None:
    if status:
        describe = _library().nvrtcGetErrorString
        describe.restype = ctypes.c_char_p
        raise RuntimeMissingError(
            f"NVRTC failed ({describe(status).decode()}); install it again, or draw on the "
            "processor"
        )


def _log(program: ctypes.c_void_p) -> str:
    size = ctypes.c_size_t()
    _library().nvrtcGetProgramLogSize(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value + 1)
    _library().nvrtcGetProgramLog(program, text)
    return " ".join(text.value.decode(errors="replace").split()) or "no reason given"
