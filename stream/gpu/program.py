"""The kernels: compiled for a card by NVRTC, and started with what their signatures say."""

from __future__ import annotations

import ctypes
import re
from functools import cache
from pathlib import Path
from typing import Any

from stream import matte
from stream.backends import BackendUnavailable

SOURCE = Path(__file__).with_name("kernels.cu")
# The processor's own numbers, where a kernel has them inside of a formula.
OPTIONS = (
    f"-DSURELY_BACKGROUND={matte._SURELY_BACKGROUND}f",
    f"-DSURELY_PERSON={matte._SURELY_PERSON}f",
)
# Products are rounded before they are added, as on the processor: mattes were 0.008 apart without.
_UNFUSED = "--fmad=false"
_SIGNATURE = re.compile(r'extern "C" __global__ void (\w+)\(([^)]*)\)')
_INSTALL = "pip install -r requirements-gpu.txt"


@cache
def signatures() -> dict[str, tuple[Any, ...]]:
    """The ctypes of each kernel's arguments, read off the source."""
    numbers = {"int": ctypes.c_int, "unsigned": ctypes.c_uint, "float": ctypes.c_float}
    return {
        name: tuple(
            ctypes.c_void_p if "*" in each else numbers[each.split()[0]]
            for each in arguments.split(",")
        )
        for name, arguments in _SIGNATURE.findall(SOURCE.read_text("utf-8"))
    }


def compiled(capability: tuple[int, int]) -> bytes:
    """Machine code for cards of a compute capability, or, for one newer than the compiler, what the
    driver makes it from. Raises BackendUnavailable."""
    try:
        from cuda.bindings import nvrtc

        known = _got(nvrtc, nvrtc.nvrtcGetSupportedArchs())
    except (ImportError, RuntimeError) as error:
        words = str(error).strip().splitlines()[0]
        raise BackendUnavailable(f"no compiler for kernels ({words})", _INSTALL) from error
    wanted = capability[0] * 10 + capability[1]
    is_known = wanted in known
    fitting = [arch for arch in known if arch <= wanted]
    if not fitting:
        raise BackendUnavailable(
            f"the installed NVRTC compiles for {min(known) / 10:.1f} and later, not for "
            f"{wanted / 10:.1f}",
            "take --engine cpu",
        )
    arch = f"sm_{wanted}" if is_known else f"compute_{max(fitting)}"
    source = SOURCE.read_bytes()
    program = _got(nvrtc, nvrtc.nvrtcCreateProgram(source, SOURCE.name.encode(), 0, [], []))
    options = [option.encode() for option in (f"--gpu-architecture={arch}", _UNFUSED, *OPTIONS)]
    (code,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if int(code):
        log = b" " * _got(nvrtc, nvrtc.nvrtcGetProgramLogSize(program))
        _got(nvrtc, nvrtc.nvrtcGetProgramLog(program, log))
        raise BackendUnavailable(
            f"the kernels do not compile for {arch}: {log.decode(errors='replace').strip()}",
            "install the NVRTC of requirements-gpu.txt, or take --engine cpu",
        )
    size, fill = (
        (nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN)
        if is_known
        else (nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX)
    )
    code_there = b" " * _got(nvrtc, size(program))
    _got(nvrtc, fill(program, code_there))
    _got(nvrtc, nvrtc.nvrtcDestroyProgram(program))
    return code_there


def _got(nvrtc: Any, answer: tuple[Any, ...]) -> Any:
    code, *values = answer
    if int(code):
        raise BackendUnavailable(f"cannot compile kernels: {code.name}", _INSTALL)
    return values[0] if values else None
