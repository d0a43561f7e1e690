"""The GPU's engine, on a driver and a TensorRT that are played; gpu: on real ones.

The played driver moves real bytes, and the played engine computes the mean of R, G and B: what
goes up, through and down is followed to the last pixel.
"""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from weakref import WeakSet

import numpy as np
import pytest

from stream import StreamError
from stream.backends import BackendUnavailable, engines, nvidia, open_backend, trt
from stream.backends.engine_builder import Facts
from stream.backends.flavor import TensorRtProper, TensorRtRtx
from stream.backends.nvidia import GpuCard, GpuMemory, first_card, has_driver, remedy
from stream.backends.trial import probe
from stream.backends.trt import TensorRt


class Code(int):
    """A CUresult: a number with a name."""

    name = "CUDA_SUCCESS"

    @classmethod
    def of(cls, number: int, name: str) -> Code:
        code = cls(number)
        code.name = name
        return code


OK = Code(0)
FULL = Code.of(2, "CUDA_ERROR_OUT_OF_MEMORY")


class Driver:
    """The driver API as cuda-bindings offers it; "the GPU" is memory of this process."""

    CUdevice_attribute = SimpleNamespace(
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR=8,
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR=9,
    )

    def __init__(self, room: int = 10**9) -> None:
        self.room, self.held, self.contexts, self.streams = room, {}, 0, 0

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
        self.contexts += 1
        return OK, "context"

    def cuDevicePrimaryCtxRelease(self, device):
        self.contexts -= 1
        return (OK,)

    def cuCtxSetCurrent(self, context):
        return (OK,)

    def cuStreamCreate(self, flags):
        self.streams += 1
        return OK, 7

    def cuStreamDestroy(self, stream):
        self.streams -= 1
        return (OK,)

    def cuStreamSynchronize(self, stream):
        return (OK,)

    def cuMemAlloc(self, size):
        if size > self.room:
            return FULL, None
        buffer = ctypes.create_string_buffer(size)
        address = ctypes.addressof(buffer)
        self.held[address] = buffer
        return OK, address

    def cuMemHostAlloc(self, size, flags):
        return self.cuMemAlloc(size)

    def cuMemFree(self, address):
        del self.held[address]
        return (OK,)

    cuMemFreeHost = cuMemFree

    def cuMemcpyHtoDAsync(self, there, here, size, stream):
        ctypes.memmove(there, here, size)
        return (OK,)

    def cuMemcpyDtoHAsync(self, here, there, size, stream):
        ctypes.memmove(here, there, size)
        return (OK,)


class Context:
    """Computes the mean of the colors from and to the addresses that it is told."""

    def __init__(self, input_hw: tuple[int, int], batch: int) -> None:
        self.hw, self.addresses, self.runs = input_hw, {}, True
        self.batch, self.rows, self.told = batch, 1 if batch == 1 else None, []

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.rows, *rest = shape
        self.told.append(self.rows)
        return name == "image" and rest == [*self.hw, 3] and 1 <= self.rows <= self.batch

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == 7
        image, alpha = (self._array(name, count) for name, count in (("image", 3), ("alpha", 1)))
        alpha[...] = image.mean(-1, keepdims=True) / 255
        return self.runs

    def _array(self, name: str, channels: int) -> np.ndarray:
        h, w = self.hw
        memory = (ctypes.c_float * (self.rows * h * w * channels)).from_address(
            self.addresses[name]
        )
        return np.ctypeslib.as_array(memory).reshape(self.rows, h, w, channels)


class Logger:
    """ILogger, as TensorRT has it."""

    Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2)


class Played:
    """A TensorRT: its engines are the words "engine HxW NUMBER", " of BATCH" if not of one."""

    ILogger = Logger

    def __init__(self) -> None:
        self.refuses: set[bytes] = set()
        self.builds = 0
        self.contexts: list[Context] = []

    def Runtime(self, logger):
        def deserialize_cuda_engine(plan: bytes):
            if plan in self.refuses:
                self.refuses.remove(plan)
                logger.log(1, "Version tag does not match")
                return None
            h, w = map(int, plan.split()[1].split(b"x"))
            batch = int(plan.split(b" of ")[1]) if b" of " in plan else 1

            def create_execution_context():
                self.contexts.append(Context((h, w), batch))
                return self.contexts[-1]

            return SimpleNamespace(create_execution_context=create_execution_context)

        return SimpleNamespace(deserialize_cuda_engine=deserialize_cuda_engine)


@pytest.fixture
def driver(monkeypatch) -> Driver:
    driver = Driver()
    monkeypatch.setattr(nvidia, "driver_api", lambda: driver)
    monkeypatch.setattr(nvidia, "has_driver", lambda: True)
    return driver


@pytest.fixture
def played(monkeypatch) -> Played:
    """That TensorRT, in the place of TensorRT 11."""
    module = Played()
    flavor = TensorRtProper(module, "11.4")
    parsed = SimpleNamespace(facts=Facts((64, 64), looks_back=False, precision="fp16"))

    def build(parsed, largest, flavor, card, timings):
        batch, h, w = largest
        module.builds += 1
        engine = f"engine {h}x{w} {module.builds}" + (f" of {batch}" if batch > 1 else "")
        return SimpleNamespace(engine=engine.encode(), timings=timings + b"t")

    monkeypatch.setattr(trt, "load", lambda: flavor)
    monkeypatch.setattr(engines, "parse", lambda network, flavor: parsed)
    monkeypatch.setattr(engines, "build", build)
    return module


@pytest.fixture
def network(tmp_path) -> Path:
    path = tmp_path / "bright.onnx"
    path.write_bytes(b"a network")
    return path


@pytest.fixture
def backend(network, driver, played, tmp_path) -> Iterator[TensorRt]:
    with closing(TensorRt(network, folder=tmp_path / "cache")) as opened:
        yield opened


def test_it_says_engine_version_network_precision_and_device(backend) -> None:
    assert backend.name == "TensorRT 11.4, bright.onnx, fp16, RTX 4070"


@pytest.mark.parametrize("shown_hw", [(1, 1), (1, 4), (4, 1)])
def test_pictures_go_up_and_mattes_come_down(backend, shown_hw) -> None:
    h, w = backend.fit(shown_hw)
    image = np.random.default_rng(0).uniform(0, 255, (1, h, w, 3)).astype(np.float32)
    for each in (image, image[:, ::-1, :, :]):  # the second is not contiguous
        alpha = backend.infer(each, np.zeros((1, h, w, 1), np.float32))
        assert alpha.shape == (1, h, w, 1) and alpha.dtype == np.float32
        np.testing.assert_allclose(alpha[..., 0], each.mean(-1) / 255, rtol=1e-5)


def test_as_many_frames_as_come_go_through_at_once(network, driver, played, tmp_path) -> None:
    rng = np.random.default_rng(0)
    with closing(TensorRt(network, folder=tmp_path / "cache", batch=4)) as backend:
        assert backend.batch == 4
        h, w = backend.fit((1, 4))
        for rows in (3, 3, 4, 1, 1, 4):
            image = rng.uniform(0, 255, (rows, h, w, 3)).astype(np.float32)
            alpha = backend.infer(image, np.zeros((rows, h, w, 1), np.float32))
            assert alpha.shape == (rows, h, w, 1)
            np.testing.assert_allclose(alpha[..., 0], image.mean(-1) / 255, rtol=1e-5)
        assert played.contexts[0].told == [3, 4, 1, 4]  # told once, not at every frame
        sizes = sorted(len(buffer) for buffer in driver.held.values())
        assert sizes == [4 * 4 * h * w] * 2 + [4 * 4 * h * w * 3] * 2  # here and there, for four
    assert driver.held == {}


def test_a_new_engine_takes_the_place_of_those_long_unused(backend, network, played) -> None:
    folder = backend._engines.folder
    backend.fit((1, 1))
    with closing(TensorRt(network, folder=folder)) as other:
        other.fit((4, 1))
    square, upright = sorted(folder.glob("*.engine"), key=lambda path: "64x64" not in path.name)
    for path in (square, upright):
        os.utime(path, (0, 0))
    backend.fit((1, 4))  # is built; the square one runs, the upright one does not
    assert played.builds == 3
    assert square.exists() and not upright.exists()
    backend.close()
    os.utime(square, (0, 0))
    with closing(TensorRt(network, folder=folder)) as again:
        again.fit((4, 1))
    assert not square.exists()


def test_what_export_makes_is_never_swept(network, driver, played, tmp_path) -> None:
    for shown_hw in ((1, 1), (1, 4)):
        with closing(TensorRt(network, folder=network.parent)) as exporting:
            exporting.fit(shown_hw)
        for path in tmp_path.glob("*.engine"):
            os.utime(path, (0, 0))
    assert len(list(tmp_path.glob("*.engine"))) == 2


def test_an_engine_for_batches_is_another_engine(backend, network, played) -> None:
    backend.fit((1, 1))
    with closing(TensorRt(network, folder=backend._engines.folder, batch=4)) as other:
        other.fit((1, 1))
    assert played.builds == 2
    cards = [path.read_text() for path in backend._engines.folder.glob("*.json")]
    assert sum('"input": "1 to 4 of 64×64"' in card for card in cards) == 1


def test_more_frames_than_the_engine_takes_are_refused_in_words(
    network, driver, played, tmp_path
) -> None:
    with closing(TensorRt(network, folder=tmp_path / "cache", batch=2)) as backend:
        h, w = backend.fit((1, 1))
        with pytest.raises(BackendUnavailable, match="cannot take 3 frames at once"):
            backend.infer(np.zeros((3, h, w, 3), np.float32), np.zeros((3, h, w, 1), np.float32))


def test_each_shape_is_built_once_and_kept_for_the_next_run(backend, network, played) -> None:
    for _ in range(2):
        backend.fit((1, 4))
        backend.fit((1, 1))
    assert played.builds == 2
    backend.close()
    with closing(TensorRt(network, folder=backend._engines.folder)) as again:
        again.fit((1, 1))
    assert played.builds == 2
    timings = list(backend._engines.folder.glob("*.timings"))
    assert [path.read_bytes() for path in timings] == [b"tt"]  # the second build went on from it


def test_another_card_gets_another_engine(backend, network, driver, played) -> None:
    backend.fit((1, 1))
    driver.cuDeviceGetName = lambda length, device: (OK, b"RTX 3060")
    with closing(TensorRt(network, folder=backend._engines.folder)) as other:
        other.fit((1, 1))
    assert played.builds == 2


def test_an_old_engine_that_is_refused_is_built_again(backend, network, played, caplog) -> None:
    backend.fit((1, 1))
    played.refuses.add(b"engine 64x64 1")
    with closing(TensorRt(network, folder=backend._engines.folder)) as again:
        with caplog.at_level(logging.WARNING):
            again.fit((1, 1))
        assert "is built again: cannot load an engine" in caplog.text
        assert again.infer(np.full((1, 64, 64, 3), 255, np.float32), None).min() == 1
    assert played.builds == 2


def test_a_refused_engine_beside_the_network_stays_and_is_asked_no_more(
    backend, network, played, tmp_path
) -> None:
    with closing(TensorRt(network, folder=tmp_path)) as exporting:
        exporting.fit((1, 1))
    theirs = sorted(tmp_path.glob("*.engine"))
    played.refuses.add(b"engine 64x64 1")
    backend.fit((1, 1))
    assert played.builds == 2 and sorted(tmp_path.glob("*.engine")) == theirs
    with closing(TensorRt(network, folder=backend._engines.folder)) as again:
        again.fit((1, 1))
    assert played.builds == 2


def test_a_new_engine_that_is_refused_is_an_error(backend, played, driver) -> None:
    played.refuses.add(b"engine 64x64 1")
    with pytest.raises(BackendUnavailable, match=r"cannot load an engine .*Version tag does not"):
        backend.fit((1, 1))
    assert (driver.held, driver.contexts, driver.streams) == ({}, 0, 0)


def test_all_memory_is_given_back(backend, driver) -> None:
    backend.fit((1, 1))
    backend.fit((1, 4))
    assert driver.held
    backend.close()
    backend.close()
    assert (driver.held, driver.contexts, driver.streams) == ({}, 0, 0)


def test_many_shapes_do_not_fill_the_gpu(backend, driver) -> None:
    for width in range(1, 40):
        backend.fit((1, width / 4))
    assert driver.contexts <= trt._SHAPES_KEPT


def test_without_room_it_says_what_to_do(network, driver, played, tmp_path) -> None:
    driver.room = 1000
    full = pytest.raises(BackendUnavailable, match=r"memory is full: .*--network small")
    with closing(TensorRt(network, folder=tmp_path)) as backend, full:
        backend.fit((1, 1))
    assert (driver.held, driver.contexts, driver.streams) == ({}, 0, 0)


def test_an_engine_that_stops_says_so(backend, played) -> None:
    backend.fit((1, 1))
    played.contexts[0].runs = False
    with pytest.raises(BackendUnavailable, match="cannot run the network on the GPU"):
        backend.infer(np.zeros((1, 64, 64, 3), np.float32), None)


def test_what_is_no_network_is_named(driver, tmp_path) -> None:
    with pytest.raises(StreamError, match="cannot find the network"):
        TensorRt(tmp_path / "none.onnx")
    with pytest.raises(BackendUnavailable, match=r"cannot take .*x.engine.*give the .onnx file"):
        TensorRt(tmp_path / "x.engine")


def test_the_card_is_asked(driver) -> None:
    card = first_card()
    assert (card.name, card.capability, card.generation) == ("RTX 4070", (8, 9), "8.9")
    assert card.driver.endswith("CUDA 13.1")


def test_a_driver_that_sees_no_gpu_says_so(driver) -> None:
    driver.cuDeviceGet = lambda number: (Code.of(100, "CUDA_ERROR_NO_DEVICE"), None)
    with pytest.raises(BackendUnavailable, match=r"CUDA_ERROR_NO_DEVICE: the driver sees no GPU"):
        first_card()


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("CUDA_ERROR_OUT_OF_MEMORY", "memory is full"),
        ("Error Code 2: OutOfMemory (Requested size was 3)", "memory is full"),
        ("CUDA driver version is insufficient for CUDA runtime", "driver is too old"),
        ("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "driver is too old"),
        ("CUDA_ERROR_NO_DEVICE", "sees no GPU"),
        ("something new", "--engine cpu"),
    ],
)
def test_every_reason_comes_with_a_remedy(words, advice) -> None:
    assert advice in remedy(words)


def test_the_network_can_be_had_without_its_ways_up_and_down(backend, played) -> None:
    h, w = backend.fit((1, 1))
    network = backend.resident((h, w))
    image, alpha = (
        np.ctypeslib.as_array((ctypes.c_float * (h * w * n)).from_address(address))
        for address, n in ((network.addresses["image"], 3), (network.addresses["alpha"], 1))
    )
    image[...] = 51
    network.enqueue(7)
    assert np.allclose(alpha, 0.2)
    assert network.is_recordable  # TensorRT's are; of TensorRT-RTX each engine is asked
    played.contexts[0].is_stream_capturable = lambda stream: stream != 7
    assert not network.is_recordable


@pytest.mark.parametrize(
    ("capability", "todo"), [((8, 9), "update NVIDIA's driver"), ((9, 0), "pip install tensorrt,")]
)
def test_a_data_center_card_that_tensorrt_rtx_refuses_is_sent_to_tensorrt(
    network, driver, played, tmp_path, monkeypatch, capability, todo
) -> None:
    played.ComputeCapability = SimpleNamespace(__members__={"SM89": 1})
    monkeypatch.setattr(trt, "load", lambda: TensorRtRtx(played, "1.7"))
    driver.cuDeviceGetAttribute = lambda attribute, device: (OK, capability[attribute == 9])
    played.refuses.add(b"engine 64x64 1")
    refused = pytest.raises(BackendUnavailable, match="Version tag does not match")
    with closing(TensorRt(network, folder=tmp_path / "cache")) as backend, refused as told:
        backend.fit((1, 1))
    assert told.value.remedy.startswith(todo)


def test_kernels_that_were_finished_on_the_gpu_are_kept(
    network, driver, played, tmp_path, monkeypatch
) -> None:
    given: list[bytes] = []
    caches: WeakSet[Cache] = WeakSet()

    class Cache:
        def serialize(self) -> bytes | None:
            return None if given[-1] else b"kernels"  # nothing new

    class Rtx(TensorRtRtx):
        def bounds(self, card):
            return [{"made by": "TensorRT-RTX", "capabilities": "8.9"}]

        def check(self, card):
            pass

        def context(self, engine, kernels):
            given.append(kernels)
            cache = Cache()
            caches.add(cache)
            return engine.create_execution_context(), cache

    monkeypatch.setattr(trt, "load", lambda: Rtx(played, "1.7"))
    for _ in range(2):
        with closing(TensorRt(network, folder=tmp_path / "cache")) as backend:
            backend.fit((1, 1))
            for _ in range(2):
                backend.infer(np.zeros((1, 64, 64, 3), np.float32), None)
            assert len(caches) == 1, "the context still uses its cache"
    assert given == [b"", b"kernels"]
    driver.cuDriverGetVersion = lambda: (OK, 13020)  # another driver, other kernels
    with closing(TensorRt(network, folder=tmp_path / "cache")) as backend:
        backend.fit((1, 1))
    assert given[2] == b"" and played.builds == 1


def test_the_played_driver_offers_nothing_that_the_real_one_lacks() -> None:
    real = pytest.importorskip(
        "cuda.bindings.driver", reason="cuda-bindings, of requirements-gpu.txt, is not installed"
    )
    ours = [name for name in vars(Driver) if name.startswith("cu")]
    assert len(ours) > 15 and not [name for name in ours if not callable(getattr(real, name))]
    attributes = real.CUdevice_attribute
    assert all(hasattr(attributes, name) for name in vars(Driver.CUdevice_attribute))


@pytest.fixture
def gpu() -> GpuCard:
    """The real card."""
    if not has_driver():
        pytest.skip("needs an NVIDIA GPU: no driver here")
    pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")
    return first_card()


@pytest.mark.gpu
def test_real_memory_brings_back_what_it_took(gpu) -> None:
    with closing(GpuMemory({"image": (1, 90, 160, 3)})) as memory:
        image = np.random.default_rng(0).random((1, 90, 160, 3), np.float32)
        memory.up("image", image)
        memory.here["image"].fill(0)
        assert np.array_equal(memory.down("image", 1), image)


@pytest.mark.gpu
@pytest.mark.parametrize("network", ["default", "small"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("shown_hw", [(9.0, 16.0), (16.0, 9.0), (1.0, 1.0)])
def test_every_shipped_network_runs_there_and_agrees(gpu, network, precision, shown_hw) -> None:
    wanted = {"engine": "tensorrt", "precision": precision, "shown_hw": shown_hw}
    with closing(open_backend(network, **wanted)) as backend:
        assert backend.name.endswith(gpu.name)


@pytest.mark.gpu
def test_a_batch_is_as_each_of_it_alone(gpu) -> None:
    wanted = {"engine": "tensorrt", "precision": "fp32", "shown_hw": (9.0, 16.0)}
    with closing(open_backend("small", batch=4, **wanted)) as backend:
        shown = [probe(backend.fit((9.0, 16.0)), seed) for seed in range(3)]
        alone = [backend.infer(*each).copy() for each in shown]
        images, previous = (np.concatenate(each) for each in zip(*shown, strict=True))
        # Other kernels may serve other batches, and add in another order.
        np.testing.assert_allclose(
            backend.infer(images, previous), np.concatenate(alone), atol=1e-3
        )
