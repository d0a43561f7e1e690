"""NVIDIA's driver: whether there is one, which card it drives, and memory there.

Asked through cuda-bindings, which is imported only where a driver is.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.backends import BackendUnavailable

NO_DRIVER = "no NVIDIA driver"
INSTALL_DRIVER = "install NVIDIA's driver for this card, or let the processor do it: --engine cpu"
_INSTALL = "pip install -r requirements-gpu.txt"
_NAME_BYTES = 128
_KERNEL_MODULE = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, slots=True)
class GpuCard:
    """The first NVIDIA GPU of this machine."""

    name: str
    capability: tuple[int, int]
    driver: str
    """The driver's number where the system tells it, and the newest CUDA that it serves."""

    def __str__(self) -> str:
        return self.name

    @property
    def generation(self) -> str:
        """The compute capability in words: 8.6."""
        return "{}.{}".format(*self.capability)


def has_driver() -> bool:
    """Whether NVIDIA's driver is there; where it is not, that is found out in microseconds."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def first_card() -> GpuCard:
    """The GPU that engines run on. Raises BackendUnavailable, with what to do."""
    cuda = driver_api()
    device = got(cuda.cuDeviceGet(0), "open the GPU")
    attribute = cuda.CUdevice_attribute
    major, minor = (
        got(cuda.cuDeviceGetAttribute(each, device), "ask the GPU for its capability")
        for each in (
            attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        )
    )
    name = got(cuda.cuDeviceGetName(_NAME_BYTES, device), "ask the GPU for its name")
    cuda_version = got(cuda.cuDriverGetVersion(), "ask the driver for its version")
    newest = f"CUDA {cuda_version // 1000}.{cuda_version % 1000 // 10}"
    driver = ", ".join(filter(None, [_driver_number(), newest]))
    return GpuCard(name.split(b"\0")[0].decode(errors="replace").strip(), (major, minor), driver)


class GpuMemory:
    """Arrays that lie twice, pinned here and on the GPU, and the stream that carries them."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """All float32. Raises BackendUnavailable where the GPU has no room."""
        self._cuda = driver_api()
        self.here: dict[str, NDArray[np.float32]] = {}
        self._there: dict[str, Any] = {}
        self._pinned: list[Any] = []
        self._stream: Any = None
        self._device = got(self._cuda.cuDeviceGet(0), "open the GPU")
        self._context = got(self._cuda.cuDevicePrimaryCtxRetain(self._device), "open the GPU")
        try:
            self.enter()
            self._stream = got(self._cuda.cuStreamCreate(1), "open a stream")  # 1: non-blocking
            for name, shape in shapes.items():
                self._take(name, shape)
        except BackendUnavailable:
            self.close()
            raise

    @property
    def stream(self) -> int:
        """The stream's handle, for engines."""
        return int(self._stream)

    def address(self, name: str) -> int:
        """Where an array lies on the GPU."""
        return int(self._there[name])

    def enter(self) -> None:
        """Make this thread one that works on the GPU."""
        got(self._cuda.cuCtxSetCurrent(self._context), "open the GPU")

    def up(self, name: str, array: NDArray[np.float32]) -> None:
        """Begin to send an array of the first rows, or all, to the GPU, over what lies there."""
        here = self.here[name][: len(array)]
        here[...] = array
        sent = self._cuda.cuMemcpyHtoDAsync(
            self._there[name], here.ctypes.data, here.nbytes, self._stream
        )
        got(sent, "send a picture to the GPU")

    def down(self, name: str, rows: int) -> NDArray[np.float32]:
        """Fetch the first rows when all that was begun is done; valid until the next call."""
        here = self.here[name][:rows]
        fetched = self._cuda.cuMemcpyDtoHAsync(
            here.ctypes.data, self._there[name], here.nbytes, self._stream
        )
        got(fetched, "fetch a matte from the GPU")
        got(self._cuda.cuStreamSynchronize(self._stream), "run the network")
        return here

    def close(self) -> None:
        """Give everything back; safe to call twice."""
        if self._context is None:
            return
        self.here.clear()
        self._cuda.cuCtxSetCurrent(self._context)
        for address in self._there.values():
            self._cuda.cuMemFree(address)
        for pointer in self._pinned:
            self._cuda.cuMemFreeHost(pointer)
        if self._stream is not None:
            self._cuda.cuStreamDestroy(self._stream)
        self._cuda.cuDevicePrimaryCtxRelease(self._device)
        self._there, self._pinned, self._stream, self._context = {}, [], None, None

    def _take(self, name: str, shape: tuple[int, ...]) -> None:
        size = 4 * prod(shape)
        self._there[name] = got(self._cuda.cuMemAlloc(size), "find room on the GPU")
        pointer = got(self._cuda.cuMemHostAlloc(size, 0), "find pinned memory")
        self._pinned.append(pointer)
        memory = (ctypes.c_float * prod(shape)).from_address(int(pointer))
        self.here[name] = np.ctypeslib.as_array(memory).reshape(shape)


def driver_api() -> Any:
    """cuda-bindings' driver API, begun. Raises BackendUnavailable."""
    if not has_driver():
        raise BackendUnavailable(NO_DRIVER, INSTALL_DRIVER)
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise BackendUnavailable(f"no package cuda-bindings ({error})", _INSTALL) from error
    got(driver.cuInit(0), "start NVIDIA's driver")
    return driver


def got(answer: tuple, wish: str) -> Any:
    """What a call of the driver gave. Raises BackendUnavailable in the driver's own words."""
    code, *values = answer
    if int(code):
        raise BackendUnavailable(f"cannot {wish}: {code.name}", remedy(code.name))
    return values[0] if values else None


def remedy(words: str) -> str:
    """What to do about an error of CUDA or TensorRT, by the words that it is told in."""
    said = words.lower().replace("_", " ")
    if "out of memory" in said or "outofmemory" in said or "memory allocation" in said:
        return (
            "the GPU's memory is full: close what else uses it, take --network small, or "
            "--engine cpu"
        )
    if "driver version is insufficient" in said or "system driver mismatch" in said:
        return "the driver is too old: update NVIDIA's driver, or install an older TensorRT"
    if "no device" in said:
        return "the driver sees no GPU: is the card on, and may this user or container use it?"
    return "update NVIDIA's driver, or take --engine cpu"


def _driver_number() -> str:
    """590.44.01, where Linux tells it."""
    try:
        words = _KERNEL_MODULE.read_text().split()
    except OSError:
        return ""
    return next((word for word in words if word.replace(".", "").isdigit() and "." in word), "")
