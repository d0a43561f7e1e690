"""The frame on the GPU, without one: the kernels' own source, compiled as C++, on a driver that is
played; gpu: on a real one.

The played driver does nothing before somebody waits for it, and then only what the streams and
marks ask for: what is not kept in order by them comes out wrong.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections import defaultdict
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from stream import foreground
from stream.backends import BackendUnavailable, nvidia
from stream.backends.nvidia import has_driver
from stream.backends.trial import probe
from stream.backgrounds import color
from stream.blur import Blur
from stream.color import planes_of, rgb_of
from stream.compose import composite
from stream.config import PersonConfig
from stream.frame import Frame, gray_frame, layout_of
from stream.gpu import device, program
from stream.gpu.device import Gpu
from stream.gpu.slots import Slots
from stream.gpu.steps import Asked, Cleaned, OverBlur, OverPlanes, Refined, Shown
from stream.letterbox import Letterbox
from stream.matte import MatteRefiner, along_edges, evenly
from stream.segmenter import display_hw

CPP = """
#include <cmath>
struct Dim { int x = 0, y = 0, z = 0; };
static Dim blockIdx, blockDim, threadIdx;
#define __global__
#define __device__ inline
template <typename T> void atomicAdd(T* sum, T value) { *sum += value; }
"""
LOOPS = """
extern "C" void all_{name}(int gx, int gy, int gz, int bx, int by, {parameters}) {{
    blockDim.x = bx, blockDim.y = by;
    for (blockIdx.z = 0; blockIdx.z < gz; blockIdx.z++)
    for (blockIdx.y = 0; blockIdx.y < gy; blockIdx.y++)
    for (blockIdx.x = 0; blockIdx.x < gx; blockIdx.x++)
    for (threadIdx.y = 0; threadIdx.y < by; threadIdx.y++)
    for (threadIdx.x = 0; threadIdx.x < bx; threadIdx.x++) {name}({names});
}}
"""


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """kernels.cu as C++, each kernel with loops over its blocks and threads."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++, to compile the kernels for the processor")
    source, folder = program.SOURCE.read_text("utf-8"), tmp_path_factory.mktemp("kernels")
    loops = [
        LOOPS.format(
            name=name,
            parameters=parameters,
            names=", ".join(re.findall(r"(\w+)\s*(?:,|$)", parameters)),
        )
        for name, parameters in re.findall(r"__global__ void (\w+)\(([^)]*)\)", source)
    ]
    (folder / "kernels.cpp").write_text("".join([CPP, source, *loops]))
    command = ["g++", "-O3", "-shared", "-fPIC", "-Wall", "-Werror", *program.OPTIONS]
    command += [str(folder / "kernels.cpp"), "-o", str(folder / "kernels.so")]
    subprocess.run(command, check=True, timeout=300)
    return ctypes.CDLL(str(folder / "kernels.so"))


class Code(int):
    """A CUresult."""

    name = "CUDA_SUCCESS"


class Refusal(Code):
    """One that is none."""

    name = "CUDA_ERROR_ILLEGAL_ADDRESS"


OK = Code(0)


class Task:
    """What is done when it is waited for, after what it waits for."""

    def __init__(self, name: str, do, after) -> None:
        self.name, self.do, self.after, self.is_done = name, do, [t for t in after if t], False


class Driver:
    """The driver API as cuda-bindings offers it; "the GPU" is memory of this process."""

    CUdevice_attribute = SimpleNamespace(
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR=8,
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR=9,
    )
    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_RELAXED=2)

    def __init__(self, kernels: ctypes.CDLL) -> None:
        self.kernels = kernels
        self.held: dict[int, object] = {}
        self.last: dict[int, Task | None] = {}  # of each stream
        self.marks: dict[int, Task | None] = {}
        self.recording: list | None = None
        self.done: list[str] = []  # names of tasks, in the order they were done
        self.begun: list[tuple[str, int]] = []
        self.refuses: set[str] = set()
        self.living: defaultdict[str, int] = defaultdict(int)
        self.bytes = 0

    def __getattribute__(self, name: str):
        if name.startswith("cu") and name in object.__getattribute__(self, "refuses"):
            return lambda *arguments: (Refusal(700), None)
        return object.__getattribute__(self, name)

    def cuInit(self, flags):
        return (OK,)

    def cuDriverGetVersion(self):
        return OK, 13010

    def cuDeviceGet(self, number):
        return OK, 0

    def cuDeviceGetName(self, length, device):
        return OK, b"RTX 4070\0".ljust(length, b"\0")

    def cuDeviceGetAttribute(self, attribute, device):
        return OK, attribute

    def cuDevicePrimaryCtxRetain(self, device):
        return self._made("context")

    def cuDevicePrimaryCtxRelease(self, device):
        return self._gone("context")

    def cuCtxSetCurrent(self, context):
        return (OK,)

    def cuCtxSynchronize(self):
        for task in self.last.values():
            self._finish(task)
        return (OK,)

    def cuModuleLoadData(self, code):
        return self._made("module")

    def cuModuleUnload(self, module):
        return self._gone("module")

    def cuModuleGetFunction(self, module, name):
        return OK, name.decode()

    def cuStreamCreate(self, flags):
        _, stream = self._made("stream")
        self.last[stream] = None
        return OK, stream

    def cuStreamDestroy(self, stream):
        return self._gone("stream")

    def cuStreamSynchronize(self, stream):
        self._finish(self.last[stream])
        return (OK,)

    def cuEventCreate(self, flags):
        _, event = self._made("event")
        self.marks[event] = None
        return OK, event

    def cuEventDestroy(self, event):
        return self._gone("event")

    def cuEventRecord(self, event, stream):
        self.marks[event] = self.last[stream]
        return (OK,)

    def cuEventSynchronize(self, event):
        self._finish(self.marks[event])
        return (OK,)

    def cuStreamWaitEvent(self, stream, event, flags):
        return self._begin("wait", stream, lambda: None, self.marks[event])

    def cuMemAlloc(self, size):
        # What nobody has written is noise.
        memory = np.random.default_rng(size).integers(0, 255, size, np.uint8)
        self.held[memory.ctypes.data] = memory
        return OK, memory.ctypes.data

    def cuMemHostAlloc(self, size, flags):
        return self.cuMemAlloc(size)

    def cuMemFree(self, address):
        del self.held[address]
        return (OK,)

    cuMemFreeHost = cuMemFree

    def cuMemsetD8Async(self, address, value, count, stream):
        return self._begin("set", stream, partial(ctypes.memset, address, value, count))

    def cuMemsetD32Async(self, address, value, count, stream):
        values = (ctypes.c_uint32 * count)(*[value] * count)
        move = partial(ctypes.memmove, address, values, 4 * count)
        return self._begin("set", stream, move)

    def cuMemcpyHtoDAsync(self, there, here, size, stream):
        self.bytes += size
        if here not in self.held:  # pageable memory is read at once
            here = ctypes.create_string_buffer(ctypes.string_at(here, size), size)
        return self._begin("up", stream, partial(ctypes.memmove, there, here, size))

    def cuMemcpyDtoHAsync(self, here, there, size, stream):
        self.bytes += size
        return self._begin("down", stream, partial(ctypes.memmove, here, there, size))

    def cuMemcpyDtoH(self, here, there, size):
        ctypes.memmove(here, there, size)
        return (OK,)

    def cuLaunchKernel(self, kernel, gx, gy, gz, bx, by, bz, shared, stream, given, extra):
        values, types = given
        assert len(values) == len(types), f"{kernel} takes {len(types)} arguments"
        assert (bz, shared, extra) == (1, 0, 0) and bx * by <= 1024
        run = getattr(self.kernels, f"all_{kernel}")
        run.argtypes = [ctypes.c_int] * 5 + list(types)
        return self._begin(kernel, stream, partial(run, gx, gy, gz, bx, by, *values))

    def cuStreamBeginCapture(self, stream, mode):
        self.recording = []
        return (OK,)

    def cuStreamEndCapture(self, stream):
        recording, self.recording = self.recording, None
        return OK, recording

    def cuGraphInstantiate(self, graph, flags):
        self.living["recording"] += 1
        return OK, graph

    def cuGraphDestroy(self, graph):
        return (OK,)

    def cuGraphExecDestroy(self, graph):
        return self._gone("recording")

    def cuGraphLaunch(self, graph, stream):
        def replay() -> None:
            for name, do in graph:
                self.done.append(name)
                do()

        return self._begin("graph", stream, replay)

    def _made(self, what: str):
        self.living[what] += 1
        self.living["handles"] += 1
        return OK, self.living["handles"]

    def _gone(self, what: str):
        self.living[what] -= 1
        return (OK,)

    def _begin(self, name: str, stream: int, do, *after):
        if self.recording is not None:
            assert name not in ("wait", "up", "down"), f"{name} while kernels are recorded"
            self.recording.append((name, do))
        else:
            self.begun.append((name, stream))
            self.last[stream] = Task(name, do, [self.last[stream], *after])
        return (OK,)

    def _finish(self, task: Task | None) -> None:
        waiting = [task] if task else []
        while waiting:
            first = [each for each in waiting[-1].after if not each.is_done]
            if first:
                waiting += first
                continue
            task = waiting.pop()
            if not task.is_done:
                task.is_done = True
                task.do()
                self.done.append(task.name)
                task.after = []


class Known:
    """A network whose answer is known: no kernels, an alpha that somebody lays there."""

    is_recordable = True

    def __init__(self, gpu: Gpu, work, input_hw: tuple[int, int]) -> None:
        h, w = input_hw
        self.addresses = {"image": gpu.memory(12 * h * w), "previous": gpu.memory(4 * h * w)}
        self.addresses["alpha"] = work.array("alpha", input_hw).address
        self.runs = 0

    def enqueue(self, stream: int) -> None:
        self.runs += 1


@pytest.fixture
def driver(kernels, monkeypatch) -> Driver:
    driver = Driver(kernels)
    for module in (nvidia, device):
        monkeypatch.setattr(module, "driver_api", lambda: driver)
    monkeypatch.setattr(device, "compiled", lambda capability: b"")
    return driver


def frame_of(format: str, size_hw: tuple[int, int], seed: int = 0, noise: bool = False) -> Frame:
    """Slopes, edges and noise; or noise alone."""
    like = gray_frame(size_hw)
    layout = layout_of(format)
    if noise:
        rng = np.random.default_rng(seed)
        planes = [rng.integers(0, 256, hw, np.uint8) for hw in layout.plane_hws(size_hw)]
        return like.with_planes(tuple(planes), format)
    image, _ = probe(size_hw, seed)
    like = like.with_planes(like.planes, format)
    return like.with_planes(planes_of(image[0] / np.float32(255), like))


def answer_of(input_hw: tuple[int, int], seed: int = 0) -> np.ndarray:
    """(H, W): a person with soft edges, and everything a sigmoid leaves beside."""
    _, disk = probe(input_hw, seed)
    noise = np.random.default_rng(seed).uniform(0, 0.05, input_hw).astype(np.float32)
    return np.clip(disk[0, :, :, 0] * 0.97 + noise, 0, 1)


class Bench:
    """One frame's way through all steps."""

    def __init__(self, like: Frame, input_hw: tuple[int, int] = (192, 352)) -> None:
        self.like, self.gpu = like, Gpu()
        luma_hw, chroma_hw, _ = like.layout.plane_hws(like.size_hw)
        self.slots = Slots(self.gpu, luma_hw, chroma_hw)
        self.network = Known(self.gpu, self.slots.work, input_hw)
        self.letterbox = Letterbox.fit(display_hw(like), input_hw)
        self.close = self.gpu.close

    def plan(self, over, *, is_sharp=True, grow=0.0, feather=0.0, cleaned=True):
        shown = Shown(self.network, self.letterbox, self.like.color, self.like.format)
        edge = Refined(self.network, self.letterbox, is_sharp, grow, feather)
        clean = (Cleaned(self.like.color.full_range),) if cleaned else ()
        return (shown, Asked(self.network), edge, *clean, over)

    def begin(self, frame: Frame, behind: Frame, answer: np.ndarray, plan):
        slot = self.slots.send(frame.planes)
        self.slots.lay_behind(slot, behind.planes)
        self.slots.work.put(self.network.addresses["alpha"], answer)
        self.slots.run(slot, plan)
        return slot

    def wanted(self, frame, behind, answer, over, *, is_sharp=True, grow=0.0, feather=0.0,
               cleaned=True):  # fmt: skip
        """What the processor makes of it: the matte, and the composite's planes."""
        refiner = MatteRefiner(grow, feather, along_edges if is_sharp else evenly)
        alpha = refiner.refine(self.letterbox.crop(answer), frame)
        frame = foreground.clean(frame, alpha) if cleaned else frame
        if isinstance(over, OverBlur):
            return alpha, Blur(over.blur_px).compose(frame, alpha).planes
        return alpha, composite(frame, behind.planes, alpha).planes


def apart(planes, wanted) -> list[int]:
    return [
        int(np.abs(one.astype(int) - other).max())
        for one, other in zip(planes, wanted, strict=True)
    ]


SIZES = [(720, 1280), (1080, 1920), (480, 640), (361, 641), (333, 777), (1280, 720), (64, 48)]
WAYS = [
    dict(),
    dict(is_sharp=False),
    dict(cleaned=False),
    dict(grow=3.5),
    dict(grow=-4),
    dict(feather=5),
    dict(feather=-6, grow=2.0),
]


@pytest.mark.parametrize("over", [OverPlanes(), OverBlur(18.0), OverBlur(3.0), OverBlur(90.0)])
@pytest.mark.parametrize("size_hw", SIZES)
def test_composites_are_the_processors(driver, size_hw, over) -> None:
    frame, behind = frame_of("yuv420p", size_hw), frame_of("yuv420p", size_hw, 1)
    with closing(Bench(frame)) as bench:
        answer = answer_of((192, 352))
        slot = bench.begin(frame, behind, answer, bench.plan(over))
        planes, flags = bench.slots.fetch(slot)
        alpha = bench.slots.there(slot.alpha.address, slot.alpha.hw)
        wanted_alpha, wanted = bench.wanted(frame, behind, answer, over)
        d = np.abs(alpha - wanted_alpha)
        print(size_hw, over, d.max(), d.mean(), apart(planes, wanted), [(np.abs(a.astype(int)-b)>1).sum() for a,b in zip(planes,wanted)])
