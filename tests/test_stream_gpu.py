"""The frame on the GPU, without one: the kernels' own source, compiled as C++, on a driver that is
played; gpu: on a real one.

The played driver does nothing before somebody waits for it, and then only what the streams and
marks ask for: what is not kept in order by them comes out wrong.
"""

from __future__ import annotations

import ctypes
import logging
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from stream import foreground
from stream.backends import BackendUnavailable, nvidia
from stream.backends.nvidia import has_driver
from stream.backends.trial import probe
from stream.backgrounds import open_background
from stream.bench_config import BenchConfig
from stream.blur import Blur
from stream.color import planes_of, rgb_of
from stream.compose import composite
from stream.config import PersonConfig, VideoConfig
from stream.foreground import clean
from stream.frame import Alpha, Frame, gray_frame, layout_of
from stream.gpu import choice, device, program, twins
from stream.gpu.device import Gpu
from stream.gpu.slots import Slots
from stream.gpu.steps import Asked, Cleaned, OverBlur, OverPlanes, Refined, Shown
from stream.letterbox import Letterbox
from stream.matte import MatteRefiner, along_edges, evenly
from stream.pipeline import StageClock, Stages, run
from stream.segmenter import CautiousSegmenter, Segmenter, display_hw

AS_CPP = Path(__file__).with_name("kernels_as_cpp.h")
LOOPS = """
extern "C" void all_{name}(int gx, int gy, int gz, int bx, int by, {parameters}) {{
    for_all(gx, gy, gz, bx, by, [&] {{ {name}({names}); }});
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
    (folder / "kernels.cpp").write_text("".join([AS_CPP.read_text(), source, *loops]))
    command = ["g++", "-O2", "-shared", "-fPIC", "-Wall", "-Werror", *program.OPTIONS]
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


class Bright:
    """A backend whose alpha is the mean of R, G and B, here and on the played GPU."""

    name, is_recordable, input_hw = "TensorRT, bright", True, (96, 160)

    def __init__(self, driver: Driver) -> None:
        self._driver, (h, w) = driver, self.input_hw
        self._memory = {name: np.ones((h, w, n), np.float32) for name, n in self.channels.items()}
        self.addresses = {name: each.ctypes.data for name, each in self._memory.items()}
        self.spoils = False

    channels = {"image": 3, "previous": 1, "alpha": 1}  # noqa: RUF012 - it never changes

    def fit(self, display_hw):
        return self.input_hw

    def infer(self, image, previous):
        # Of what was before, a little stays: it must be the right frame's.
        answer = (image.mean(-1, keepdims=True) / 255 * 0.9 + 0.1 * previous).astype(np.float32)
        return answer * np.float32(np.nan) if self.spoils else answer

    def resident(self, input_hw):
        return self

    def enqueue(self, stream: int) -> None:
        memory = self._memory

        def answer() -> None:
            memory["alpha"][...] = self.infer(memory["image"], memory["previous"])

        self._driver._begin("network", stream, answer)

    def close(self) -> None:
        pass


class Known:
    """A network whose answer somebody lays there: nothing is run."""

    is_recordable = True

    def __init__(self, gpu: Gpu, slots: Slots, input_hw: tuple[int, int]) -> None:
        h, w = input_hw
        self.addresses = {"image": gpu.memory(12 * h * w), "previous": gpu.memory(4 * h * w)}
        self.addresses["alpha"] = slots.work.array("alpha", input_hw).address

    def enqueue(self, stream: int) -> None:
        pass


@pytest.fixture
def driver(kernels, monkeypatch) -> Iterator[Driver]:
    driver = Driver(kernels)
    for module in (nvidia, device):
        monkeypatch.setattr(module, "driver_api", lambda: driver)
    monkeypatch.setattr(device, "compiled", lambda capability: b"")
    yield driver
    driver.living.pop("handles", None)
    assert not any(driver.living.values()), "something was not given back"
    assert not driver.held


def frame_of(format: str, size_hw: tuple[int, int], seed: int = 0) -> Frame:
    """Slopes, edges and noise."""
    image, _ = probe(size_hw, seed)
    like = gray_frame(size_hw).with_planes((), format)
    planes = planes_of(image[0] / np.float32(255), like)
    return like.with_planes(planes)


def noise_of(format: str, size_hw: tuple[int, int], seed: int = 0) -> Frame:
    """Noise alone."""
    rng, layout = np.random.default_rng(seed), layout_of(format)
    planes = [rng.integers(0, 256, hw, np.uint8) for hw in layout.plane_hws(size_hw)]
    return gray_frame(size_hw).with_planes(tuple(planes), format)


def answer_of(input_hw: tuple[int, int], seed: int = 0) -> Alpha:
    """A person with soft edges, and what a sigmoid leaves beside."""
    _, disk = probe(input_hw, seed)
    noise = np.random.default_rng(seed).uniform(0, 0.05, input_hw).astype(np.float32)
    return np.clip(disk[0, :, :, 0] * np.float32(0.97) + noise, 0, 1)


class Rig:
    """One frame's way through all steps, there and here."""

    def __init__(self, frame: Frame, behind: Frame, edges="clean", grow=0.0, feather=0.0) -> None:
        self.frame, self.behind, self.edges = frame, behind, edges
        self.grow, self.feather = grow, feather
        self.gpu = Gpu()
        luma_hw, chroma_hw, _ = frame.layout.plane_hws(frame.size_hw)
        self.slots = Slots(self.gpu, luma_hw, chroma_hw)
        self.network = Known(self.gpu, self.slots, (192, 352))
        self.letterbox = Letterbox.fit(display_hw(frame), (192, 352))
        self.answer = answer_of((192, 352))
        self.close = self.gpu.close

    def there(self, *steps) -> tuple:
        """The planes that the GPU makes with these steps, the flags, and its matte."""
        slot = self.slots.send(self.frame.planes)
        self.slots.lay_behind(slot, self.behind.planes)
        self.slots.work.put(self.network.addresses["alpha"], self.answer)
        self.slots.run(slot, steps)
        planes, flags = self.slots.fetch(slot)
        return planes, flags, self.slots.there(slot.alpha.address, slot.alpha.hw)

    def all(self, over) -> tuple:
        """All steps, in their order."""
        sharp = self.edges != "plain"
        return (
            Shown(self.network, self.letterbox, self.frame.color, self.frame.format),
            Asked(self.network),
            Refined(self.network, self.letterbox, sharp, self.grow, self.feather),
            *self.cleaned(),
            over,
        )

    def cleaned(self) -> tuple:
        return (Cleaned(self.frame.color.full_range),) if self.edges == "clean" else ()

    def matte(self) -> Alpha:
        """The processor's."""
        enlarge = evenly if self.edges == "plain" else along_edges
        refiner = MatteRefiner(self.grow, self.feather, enlarge)
        return refiner.refine(self.letterbox.crop(self.answer), self.frame)

    def here(self, alpha: Alpha, over) -> tuple:
        """The processor's planes for a matte."""
        frame = foreground.clean(self.frame, alpha) if self.edges == "clean" else self.frame
        if isinstance(over, OverBlur):
            return Blur(over.blur_px).compose(frame, alpha).planes
        return composite(frame, self.behind.planes, alpha).planes


def apart(planes, wanted) -> np.ndarray:
    """How far each value is from what is wanted."""
    assert [each.shape for each in planes] == [each.shape for each in wanted]
    both = zip(planes, wanted, strict=True)
    return np.concatenate([np.abs(one.astype(int) - other).ravel() for one, other in both])


OVERS = [OverPlanes(), OverBlur(18.0)]
CASES = [
    *((frame_of, "yuv420p", hw) for hw in [(720, 1280), (1080, 1920), (640, 360), (333, 777)]),
    *((make, format, (361, 641)) for make in (frame_of, noise_of) for format in choice.FORMATS),
    *((frame_of, format, (64, 48)) for format in choice.FORMATS),
]


def check_composites(make, format, size_hw, over, **ways) -> None:
    """For a matte that is the processor's to the bit, and for the GPU's own."""
    with closing(Rig(make(format, size_hw), make(format, size_hw, 1), **ways)) as rig:
        alpha = rig.matte()
        planes, _, own = rig.there(*rig.all(over))
        # A matte is a window's slope times a plane, and slopes are quotients of small differences:
        # of float32 sums, in which one order of adding differs from another.
        assert np.abs(own - alpha).max() <= 0.005 and np.abs(own - alpha).mean() <= 1e-4
        # Blur asks of every pixel whether there is a trace of person, and a matte of 1e-9 says yes
        # where one of 0 says no: of all values, one in 5,000 may follow from that.
        far = np.count_nonzero(apart(planes, rig.here(alpha, over)) > 1)
        assert far <= 0.0002 * sum(plane.size for plane in planes)
        given, _, _ = rig.there(Given(alpha), *rig.cleaned(), over)
        assert apart(given, rig.here(alpha, over)).max() <= 1


class Given:
    """A matte that is laid there."""

    def __init__(self, alpha: Alpha) -> None:
        self.alpha = np.ascontiguousarray(alpha)

    def do(self, work, place) -> None:
        work.put(place.alpha.address, self.alpha)


@pytest.mark.parametrize("over", OVERS, ids=str)
@pytest.mark.parametrize(("make", "format", "size_hw"), CASES)
def test_composites_are_the_processors(driver, make, format, size_hw, over) -> None:
    check_composites(make, format, size_hw, over)


@pytest.mark.parametrize("blur_px", [0.5, 3.0, 90.0])
def test_blur_of_every_strength_is_the_processors(driver, blur_px) -> None:
    check_composites(frame_of, "yuv420p", (360, 640), OverBlur(blur_px))


@pytest.mark.parametrize("over", OVERS, ids=str)
@pytest.mark.parametrize(
    "ways",
    [
        {"edges": "plain"},
        {"edges": "sharp"},
        {"grow": 3.5},
        {"grow": -4.0},
        {"feather": 5.0},
        {"feather": -6.0, "grow": 2.0},
    ],
    ids=str,
)
def test_edges_are_the_processors_in_every_way_that_is_asked_for(driver, ways, over) -> None:
    check_composites(frame_of, "yuv420p", (361, 641), over, **ways)


def test_real_pictures_come_out_alike(driver, shared) -> None:
    path = sorted((shared / "data").rglob("*.jpg"))[0]
    rgb = cv2.resize(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), (960, 540))
    like = gray_frame((540, 960))

    def pictured(format, size_hw, seed=0) -> Frame:
        image = rgb[:, ::-1] if seed else rgb
        return like.with_planes(planes_of(image.astype(np.float32) / 255, like))

    check_composites(pictured, "yuv420p", (540, 960), OverBlur(18.0))


def test_the_network_is_shown_what_the_processor_shows_it(driver) -> None:
    frame = frame_of("yuv420p", (361, 641))
    with closing(Rig(frame, frame)) as rig:
        rig.there(*rig.all(OverPlanes()))
        image = rig.slots.there(rig.network.addresses["image"], (192, 352, 3))
        content = rgb_of(frame, rig.letterbox.content_hw) * np.float32(255)
        off = np.abs(image - rig.letterbox.pad(content))
        # A tie of rounding is one step of a plane, at most 255 / 224 * 1.772 of a color.
        assert off.max() <= 2.1 and off.mean() <= 0.01


def test_what_was_before_is_remembered_until_a_cut_or_an_answer_that_is_none(driver) -> None:
    frame = frame_of("yuv420p", (96, 160))
    other = frame.with_planes(tuple(255 - plane for plane in frame.planes))
    with closing(Rig(frame, frame)) as rig:
        steps = rig.all(OverPlanes())

        def shown(frame: Frame) -> tuple[bool, bool, bool]:
            rig.frame = frame
            _, flags, _ = rig.there(*steps)
            before = rig.slots.there(rig.network.addresses["previous"], (192, 352))
            return *flags, bool(before.any())

        assert shown(frame) == (True, False, False)
        assert shown(frame) == (False, False, True)
        assert shown(other) == (True, False, False)
        assert shown(other) == (False, False, True)
        rig.slots.forget()
        assert shown(other) == (True, False, False)
        rig.answer = np.full_like(rig.answer, np.nan)
        assert shown(other)[1]
        rig.answer = answer_of((192, 352))
        assert shown(other) == (True, False, False)


class Shots:
    """A source of given frames."""

    def __init__(self, frames, is_live: bool = False) -> None:
        self.frames, self.is_live = frames, is_live

    def __iter__(self):
        return iter(self.frames)

    def close(self) -> None:
        pass


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.is_closed = False

    def write(self, frame: Frame) -> None:
        self.frames.append(frame)

    def close(self) -> None:
        self.is_closed = True


def film(size_hw: tuple[int, int] = (96, 160), count: int = 7, **changes) -> list[Frame]:
    """A scene in which something moves, and a cut to another one before the last two."""
    first = frame_of("yuv420p", size_hw)
    other = first.with_planes(tuple(255 - plane for plane in first.planes))
    frames = []
    for number in range(count):
        scene = first if number < count - 2 else other
        moved = tuple(np.roll(plane, number, axis=1) for plane in scene.planes)
        frames.append(replace(scene, planes=moved, pts=number, **changes))
    return frames


def stages_of(backend, background: str, config: PersonConfig, is_live: bool = False) -> Stages:
    kind = CautiousSegmenter if is_live else Segmenter
    behind = open_background(background)
    refiner = MatteRefiner(config.grow, config.feather)
    return Stages(kind(backend), refiner, clean, behind)


def through(frames, stages: Stages, is_live=False, line=None) -> list[Frame]:
    """What comes out of the line, here or by the GPU."""
    source, sink = Shots(frames, is_live), Kept()
    if line is None:
        run(source, *stages, sink, StageClock(), lambda done: None)
    else:
        with closing(line.down(sink, is_live)) as down:
            run(line.up(source), *line.stages, down, StageClock(), lambda done: None)
        assert sink.is_closed
    return sink.frames


def both_ways(driver, frames, background, is_live=False, begun=lambda: None, engine="auto"):
    """What the processor gives and what the GPU does."""
    config, backend = PersonConfig(engine=engine), Bright(driver)
    wanted = through(frames, stages_of(backend, background, config, is_live), is_live)
    here = stages_of(backend, background, config, is_live)
    line = choice.on_gpu(here, backend, config, frames[0])
    assert line is not None
    driver.done.clear()
    driver.begun.clear()
    driver.bytes = 0
    with closing(line):
        begun()
        shown = through(frames, here, is_live, line)
        driver.cuCtxSynchronize()
    assert [each.pts for each in shown] == [each.pts for each in wanted]
    assert {type(each) for each in shown} == {Frame}
    return wanted, shown


def close_enough(wanted: list[Frame], shown: list[Frame]) -> bool:
    pairs = list(zip(wanted, shown, strict=True))
    return all(np.mean(apart(one.planes, other.planes) > 1) < 0.002 for other, one in pairs)


@pytest.fixture
def clip(tmp_path) -> str:
    """A background that moves."""
    import av

    path = tmp_path / "waves.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", 25, width=160, height=96, pix_fmt="yuv420p")
        for number in range(5):
            picture = np.full((96, 160, 3), 40 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    return str(path)


@pytest.mark.parametrize("background", ["blur", "#2040c0", "clip"])
def test_a_clip_comes_out_as_from_the_processor(driver, clip, background) -> None:
    background = clip if background == "clip" else background
    assert close_enough(*both_ways(driver, film(), background))


def test_planes_go_up_once_and_come_down_once(driver) -> None:
    frames = film(count=10)
    both_ways(driver, frames, "blur")
    size = sum(plane.nbytes for plane in frames[0].planes)
    begun = [name for name, _ in driver.begun]
    assert begun.count("up") == begun.count("down") == len(frames)
    assert driver.bytes == len(frames) * (size + size + 8)
    # On each of the three slots kernels were started one by one once; then by one recording.
    assert begun.count("graph") == len(frames) - 3
    assert driver.done.count("network") == len(frames)
    assert driver.done.count("composite") == 2 * len(frames)


def test_frames_beside_each_other_overlap(driver) -> None:
    both_ways(driver, film(count=10), "blur")
    streams = {stream for _, stream in driver.begun}
    assert len(streams) == 3
    # The second frame was sent, and begun, before the first one was fetched.
    assert driver.done.index("down") > [name for name, _ in driver.begun].index("down")


def test_a_network_that_cannot_be_recorded_runs_between_two_recordings(driver, monkeypatch) -> None:
    monkeypatch.setattr(Bright, "is_recordable", False)
    frames = film(count=7)
    assert close_enough(*both_ways(driver, frames, "blur"))
    begun = [name for name, _ in driver.begun]
    assert begun.count("graph") == 2 * (len(frames) - 3)
    assert begun.count("network") == len(frames)


def test_it_is_the_marks_that_keep_order(driver) -> None:
    def lose_them() -> None:
        driver.cuStreamWaitEvent = lambda stream, event, flags: (OK,)

    assert not close_enough(*both_ways(driver, film(), "blur", begun=lose_them))


def test_a_slot_is_not_filled_before_its_frame_was_fetched(driver) -> None:
    frame = frame_of("yuv420p", (96, 160))
    with closing(Rig(frame, frame)) as rig:
        for _ in range(rig.slots.count):
            rig.slots.run(rig.slots.send(frame.planes), rig.all(OverPlanes()))
        with pytest.raises(AssertionError, match="used again"):
            rig.slots.send(frame.planes)


@pytest.mark.parametrize("background", ["blur", "#2040c0"])
def test_live_hides_what_it_hides_on_the_processor(driver, background) -> None:
    frames = film()
    gone = [replace(frames[3], stand_in="camera lost", pts=number) for number in (7, 8)]
    again = replace(frames[1], pts=10, repeats=True)
    frames = [*frames[:4], *gone, frames[3], frames[3], again, *frames[4:], gone[0]]
    assert close_enough(*both_ways(driver, frames, background, is_live=True))


def test_what_the_processor_composed_in_between_is_forgotten(driver, monkeypatch) -> None:
    frames = [replace(film()[0], pts=number) for number in range(6)]
    unserved = iter([True, True, True, False, False])  # once for the choice, then for each frame
    monkeypatch.setattr(twins, "is_served", lambda worn: next(unserved, True))
    backend, config = Bright(driver), PersonConfig(engine="tensorrt")
    here = stages_of(backend, "#2040c0", config, is_live=True)
    with closing(choice.on_gpu(here, backend, config, frames[0])) as line:
        shown = through(frames, here, True, line)
    alone = here.background.alone(frames[0]).planes
    hidden = [each.pts for each in shown if apart(each.planes, alone).max() == 0]
    assert hidden == [0, 3, 5]  # on the GPU, on the processor, on the GPU again


def test_where_the_answer_is_no_number_the_processors_rules_hold(driver) -> None:
    backend, config = Bright(driver), PersonConfig(engine="auto")
    here = stages_of(backend, "#2040c0", config, is_live=True)
    with closing(choice.on_gpu(here, backend, config, film()[0])) as line:
        backend.spoils = True
        shown = through(film(), here, True, line)
        alone = here.background.alone(film()[0]).planes
        assert all(apart(each.planes, alone).max() == 0 for each in shown)
        assert "no number" in here.segmenter.failure
        backend.spoils = False
        through(film(), here, True, line)
        assert here.segmenter.failure is None


@pytest.mark.parametrize("function", ["cuMemcpyHtoDAsync", "cuLaunchKernel", "cuEventSynchronize"])
def test_the_processor_goes_on_where_the_gpu_gives_up(driver, function, caplog) -> None:
    def fail_later() -> None:
        original, calls = getattr(driver, function), []

        def fail(*arguments):
            calls.append(1)
            return (Refusal(700), None) if len(calls) > 4 else original(*arguments)

        setattr(driver, function, fail)

    wanted, shown = both_ways(driver, film(), "#2040c0", begun=fail_later)
    assert len(shown) == len(wanted)
    said = [each.message for each in caplog.records if each.levelno == logging.WARNING]
    assert len(said) == 1 and said[0].startswith("the processor goes on with the frames: cannot")


def test_who_insists_on_the_gpu_is_told_why_it_gave_up(driver) -> None:
    def fail() -> None:
        driver.refuses.add("cuEventSynchronize")

    with pytest.raises(BackendUnavailable, match="cannot use the GPU: CUDA_ERROR_ILLEGAL_ADDRESS"):
        both_ways(driver, film(), "blur", begun=fail, engine="tensorrt")


@pytest.mark.parametrize("kernel", ["thumbnail", "fit_lines", "clean", "room", "composite"])
def test_a_gpu_that_computes_wrongly_is_not_trusted(driver, kernel, caplog) -> None:
    original = driver.cuLaunchKernel

    def skip(name, *arguments):
        return (OK,) if name == kernel else original(name, *arguments)

    driver.cuLaunchKernel = skip
    backend, frame = Bright(driver), film()[0]
    for engine in ("auto", "tensorrt"):
        config = PersonConfig(engine=engine)
        here = stages_of(backend, "blur", config)
        insists = engine == "tensorrt"
        refused = pytest.raises(BackendUnavailable, match="is not the processor's")
        with refused if insists else nullcontext():
            assert choice.on_gpu(here, backend, config, frame) is None
    assert "the processor composes the frames, not the GPU" in caplog.text


def test_a_recording_without_the_network_is_not_trusted(driver, caplog) -> None:
    def lose_it(graph, stream):
        left = [(name, do) for name, do in graph if name != "network"]
        return Driver.cuGraphLaunch(driver, left, stream)

    driver.cuGraphLaunch = lose_it
    backend, config = Bright(driver), PersonConfig(engine="auto")
    here = stages_of(backend, "blur", config)
    assert choice.on_gpu(here, backend, config, film()[0]) is None
    assert "the GPU's matte is not the processor's" in caplog.text


def test_what_cannot_be_recorded_is_started_kernel_by_kernel(driver, caplog) -> None:
    caplog.set_level(logging.INFO)
    driver.cuStreamEndCapture = lambda stream: (Refusal(901), setattr(driver, "recording", None))
    frames = film()
    assert close_enough(*both_ways(driver, frames, "blur", engine="tensorrt"))
    assert "graph" not in [name for name, _ in driver.begun]
    assert "one by one" in caplog.text


def test_the_processor_waits_for_what_runs_on_the_same_engine(driver) -> None:
    backend, config = Bright(driver), PersonConfig(engine="auto")
    here = stages_of(backend, "#2040c0", config)
    under_way = []

    def infer(image, previous):
        begun = [name for name, _ in driver.begun]
        under_way.append(begun.count("network") + begun.count("graph") - done())
        return Bright.infer(backend, image, previous)

    def done() -> int:
        return driver.done.count("network")

    frames = film()
    frames[4] = replace(frames[4], pixel_aspect=Fraction(12, 11))  # of another kind: stays here
    with closing(choice.on_gpu(here, backend, config, frames[0])) as line:
        driver.begun.clear()
        driver.done.clear()
        here.segmenter._backend = SimpleNamespace(fit=backend.fit, infer=infer)
        through(frames, here, line=line)
    assert under_way == [0]


@pytest.mark.parametrize(
    ("format", "background", "said"),
    [
        ("yuv420p10le", "blur", "yuv420p10le, but for yuv420p"),
        ("gbrp", "blur", "gbrp"),
        ("yuv420p", "transparent", "this background"),
        ("yuv420p", "matte", "this background"),
    ],
)
def test_what_has_no_kernels_stays_on_the_processor(
    driver, format, background, said, caplog
) -> None:
    caplog.set_level(logging.INFO)
    backend, config = Bright(driver), PersonConfig(engine="tensorrt")
    frame = gray_frame((96, 160))
    frame = frame.with_planes(frame.planes, format)
    assert choice.on_gpu(stages_of(backend, background, config), backend, config, frame) is None
    assert said in caplog.text and "the processor composes" in caplog.text


def test_an_engine_on_the_processor_never_asks_for_a_gpu(bright_network) -> None:
    from stream.backends import open_backend

    config = PersonConfig(engine="auto")
    with closing(open_backend(bright_network)) as backend:
        stages = stages_of(backend, "blur", config)
        assert choice.on_gpu(stages, backend, config, film()[0]) is None


@pytest.mark.parametrize(
    "capability", [(7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0), (19, 0)]
)
def test_the_kernels_compile_for_every_card(capability) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is not installed")
    try:
        code = program.compiled(capability)
    except BackendUnavailable as error:
        if error.reason.startswith("no compiler"):
            pytest.skip(f"NVRTC, of requirements-gpu.txt, is not installed: {error.reason}")
        raise
    # Machine code; for cards to come, what the driver makes it from.
    assert code.startswith(b"\x7fELF") if capability < (19, 0) else b".entry composite" in code
    assert b"fma." not in code, "products are to be rounded before they are added"


def test_an_older_card_than_nvrtc_knows_is_told(monkeypatch) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is not installed")
    with pytest.raises(BackendUnavailable, match=r"not for 6\.1|no compiler"):
        program.compiled((6, 1))


def test_the_played_driver_offers_nothing_that_the_real_one_lacks() -> None:
    real = pytest.importorskip(
        "cuda.bindings.driver", reason="cuda-bindings, of requirements-gpu.txt, is not installed"
    )
    ours = [name for name in vars(Driver) if name.startswith("cu")]
    assert len(ours) > 30 and not [name for name in ours if not callable(getattr(real, name))]
    mode = real.CUstreamCaptureMode
    assert all(hasattr(mode, name) for name in vars(Driver.CUstreamCaptureMode))


@pytest.fixture
def real_gpu() -> None:
    """The real driver."""
    if not has_driver():
        pytest.skip("needs an NVIDIA GPU: no driver here")
    pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is not installed")


@pytest.mark.gpu
@pytest.mark.parametrize("over", OVERS, ids=str)
@pytest.mark.parametrize(("make", "format", "size_hw"), CASES)
def test_a_real_gpu_composes_as_the_processor(real_gpu, make, format, size_hw, over) -> None:
    check_composites(make, format, size_hw, over)


@pytest.mark.gpu
def test_a_real_gpu_replays_what_it_did(real_gpu) -> None:
    frame = frame_of("yuv420p", (720, 1280))
    with closing(Rig(frame, frame_of("yuv420p", (720, 1280), 1))) as rig:
        first, *others = [rig.there(*rig.all(OverBlur(18.0)))[0] for _ in range(9)]
        assert all(apart(planes, first).max() <= 1 for planes in others)


def test_video_takes_the_gpu_and_writes_the_same_clip(driver, clip, tmp_path, monkeypatch) -> None:
    from stream import main
    from stream.sources.video_file import VideoFile

    monkeypatch.setattr(main, "open_backend", lambda *given, **named: Bright(driver))
    written = {}
    for engine in ("cpu", "auto"):
        driver.done.clear()
        output = tmp_path / f"{engine}.mkv"
        config = VideoConfig(clip, output, background="blur", engine=engine, codec="ffv1")
        assert main.video(config).frames == 5
        assert driver.done.count("network") >= 5 * (engine == "auto")
        with closing(VideoFile(str(output))) as video:
            written[engine] = list(video)
    assert close_enough(written["cpu"], written["auto"])


@pytest.mark.parametrize("rate", [None, 30.0])
def test_bench_measures_the_line_on_the_gpu(driver, monkeypatch, rate) -> None:
    from stream import bench_line

    monkeypatch.setattr(bench_line, "open_backend", lambda *given, **named: Bright(driver))
    config = BenchConfig(size="160x96", background="#2040c0", engine="auto", rate=rate)
    with closing(bench_line.BenchLine(config, "played")) as line:
        driver.done.clear()
        part = line.run(5)
        assert line.run(5).network_runs >= 5
    assert part.frames == 5 and len(part.ages_ms) == 5 and part.seconds > 0
    assert part.network_runs == 5 or (rate and part.network_runs >= 5)
    if rate is None:  # at a rate some may be dropped
        assert driver.done.count("network") >= 2 * (5 + bench_line.WARM_UP)
    assert set(part.stages_ms) == {"asked", "awaited"}
    assert all(len(spent) == 5 for spent in part.stages_ms.values())
