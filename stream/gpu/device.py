"""The GPU: memory there and pinned here, streams, and kernels that are started on one of them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.backends.nvidia import driver_api, first_card, got
from stream.gpu.program import compiled, signatures

_BLOCK_WH, _LONG_BLOCK = (32, 8), 256  # threads; of pictures, and of what is one row
_NON_BLOCKING, _NO_TIMING = 1, 2  # CU_STREAM_NON_BLOCKING, CU_EVENT_DISABLE_TIMING


class Gpu:
    """The first GPU, for the thread that made this; `close` gives everything back."""

    def __init__(self) -> None:
        """Raises BackendUnavailable where there is none, or the kernels do not compile."""
        card = first_card()
        self.cuda: Any = driver_api()
        self._held = ExitStack()
        try:
            device = got(self.cuda.cuDeviceGet(0), "open the GPU")
            context = got(self.cuda.cuDevicePrimaryCtxRetain(device), "open the GPU")
            self._held.callback(self.cuda.cuDevicePrimaryCtxRelease, device)
            got(self.cuda.cuCtxSetCurrent(context), "open the GPU")
            module = got(self.cuda.cuModuleLoadData(compiled(card.capability)), "load the kernels")
            self._held.callback(self.cuda.cuModuleUnload, module)
            self.kernels = {
                name: got(self.cuda.cuModuleGetFunction(module, name.encode()), f"find {name}")
                for name in signatures()
            }
        except BaseException:
            self.close()
            raise

    def stream(self) -> Any:
        """A queue of work that waits for no other."""
        stream = got(self.cuda.cuStreamCreate(_NON_BLOCKING), "open a stream")
        self._held.callback(self.cuda.cuStreamDestroy, stream)
        return stream

    def event(self) -> Any:
        """A mark in a stream."""
        event = got(self.cuda.cuEventCreate(_NO_TIMING), "make a mark in a stream")
        self._held.callback(self.cuda.cuEventDestroy, event)
        return event

    def memory(self, size: int) -> int:
        """The address of so many bytes on the GPU."""
        address = got(self.cuda.cuMemAlloc(size), "find room on the GPU")
        self._held.callback(self.cuda.cuMemFree, address)
        return int(address)

    def pinned(self, size: int) -> NDArray[np.uint8]:
        """So many bytes here that the GPU can copy by itself."""
        pointer = got(self.cuda.cuMemHostAlloc(size, 0), "find pinned memory")
        self._held.callback(self.cuda.cuMemFreeHost, pointer)
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(int(pointer)))

    def recording(self, stream: Any, start: Callable[[], None]) -> Any:
        """What `start` begins on a stream, as a graph to be launched there again and again."""
        relaxed = self.cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED
        got(self.cuda.cuStreamBeginCapture(stream, relaxed), "begin to record kernels")
        try:
            start()
        finally:
            ended = self.cuda.cuStreamEndCapture(stream)
        graph = got(ended, "record kernels")
        ready = got(self.cuda.cuGraphInstantiate(graph, 0), "make a recording ready")
        self._held.callback(self.cuda.cuGraphExecDestroy, ready)
        got(self.cuda.cuGraphDestroy(graph), "drop a recording")
        return ready

    def close(self) -> None:
        """Wait for what runs and give everything back; safe to call twice."""
        self.cuda.cuCtxSynchronize()
        self._held.close()


@dataclass(frozen=True)
class There:
    """Pictures of one size on the GPU, one behind the other; rows are `pitch` values apart."""

    address: int
    count: int
    hw: tuple[int, int]
    itemsize: int
    pitch: int

    @classmethod
    def at(cls, address: int, count: int, hw: tuple[int, int], itemsize: int = 1) -> There:
        """Pictures whose rows lie one behind the other."""
        return cls(address, count, hw, itemsize, hw[1])

    def pictures(self, first: int, count: int) -> There:
        """Some of them."""
        skipped = first * self.hw[0] * self.hw[1] * self.itemsize
        return replace(self, address=self.address + skipped, count=count)

    def crop(self, origin: tuple[int, int], hw: tuple[int, int]) -> There:
        """A part of the first one."""
        skipped = (origin[0] * self.pitch + origin[1]) * self.itemsize
        return replace(self, address=self.address + skipped, count=1, hw=hw)


@dataclass(frozen=True)
class Picture:
    """A frame's planes on the GPU: luma, then both of chroma."""

    luma: There
    chroma: There

    @classmethod
    def at(cls, address: int, luma_hw: tuple[int, int], chroma_hw: tuple[int, int]) -> Picture:
        """Planes that lie one behind the other."""
        luma = There.at(address, 1, luma_hw)
        return cls(luma, There.at(address + luma_hw[0] * luma_hw[1], 2, chroma_hw))


class Work:
    """Kernels on one stream, and the arrays that they leave to each other."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu, self.stream = gpu, gpu.stream()
        self._arrays: dict[tuple[object, ...], There] = {}

    def array(self, name: str, hw: tuple[int, int], count: int = 1, itemsize: int = 4) -> There:
        """The array of that name and size; zeros at first."""
        key = name, hw, count, itemsize
        if key not in self._arrays:
            size = count * hw[0] * hw[1] * itemsize
            address = self._gpu.memory(size)
            emptied = self._gpu.cuda.cuMemsetD8Async(address, 0, size, self.stream)
            got(emptied, "empty memory on the GPU")
            self._arrays[key] = There.at(address, count, hw, itemsize)
        return self._arrays[key]

    def constant(self, values: NDArray[Any]) -> There:
        """These values, on the GPU; sent once."""
        key = "constant", values.dtype.str, values.tobytes()
        if key not in self._arrays:
            address = self._gpu.memory(values.nbytes)
            self.put(address, values)
            self._arrays[key] = There.at(address, 1, (1, values.size), values.itemsize)
        return self._arrays[key]

    def put(self, address: int, values: NDArray[Any]) -> None:
        """Lay values there when all that was begun is done."""
        here, size = values.ctypes.data, values.nbytes
        sent = self._gpu.cuda.cuMemcpyHtoDAsync(address, here, size, self.stream)
        got(sent, "send numbers to the GPU")
        # The values may be gone at once, and copies of unpinned memory need not be.
        got(self._gpu.cuda.cuStreamSynchronize(self.stream), "send numbers to the GPU")

    def run(self, kernel: str, over: tuple[int, ...], *arguments: There | float) -> None:
        """Start a kernel with a thread for each of (h, w) pixels, or (count, h, w)."""
        *planes, h, w = over
        wide, high = (_LONG_BLOCK, 1) if h == 1 else _BLOCK_WH
        values = tuple(each.address if isinstance(each, There) else each for each in arguments)
        started = self._gpu.cuda.cuLaunchKernel(
            self._gpu.kernels[kernel],
            *(-(-w // wide), -(-h // high), planes[0] if planes else 1),
            *(wide, high, 1),
            0,
            self.stream,
            (values, signatures()[kernel]),
            0,
        )
        got(started, f"start the kernel {kernel}")

    def sized(
        self, name: str, pictures: There, size_hw: tuple[int, int], into: There | None = None
    ) -> There:
        """compose.sized: at another size, by halving while it can; `into` is written always."""
        hws = list(_halvings(pictures.hw, size_hw))
        if into is not None and not hws:
            hws = [size_hw]  # a copy
        for hw in hws:
            is_last = into is not None and hw == hws[-1]
            target = self.array(f"{name} sized", hw, pictures.count, pictures.itemsize)
            target = into if is_last and into is not None else target
            if pictures.itemsize == 1:
                where = pictures, *pictures.hw, target, *hw
                self.run("sized_bytes", (pictures.count, *hw), *where)
            else:
                source = pictures, pictures.pitch, *pictures.hw
                self.run("sized_floats", hw, *source, target, *hw)
            pictures = target
        return pictures


def _halvings(hw: tuple[int, int], wanted: tuple[int, int]) -> list[tuple[int, int]]:
    sizes = []
    while wanted[0] <= hw[0] and hw[0] >= 2 * wanted[0] and hw[1] >= 2 * wanted[1]:
        hw = hw[0] // 2, hw[1] // 2
        sizes.append(hw)
    return sizes if hw == wanted else [*sizes, wanted]
