"""Which engine runs: the GPU only where it truly serves, and why not where it does not."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import run
from stream import doctor
from stream.backends import BackendUnavailable, choice, flavor, nvidia, open_backend
from stream.backends.choice import GpuOrProcessor
from stream.backends.nvidia import GpuCard
from stream.backends.ov import OpenVino
from stream.backends.trial import MOST_APART, check_agreement, probe
from stream.letterbox import input_hw_for

ROOT = Path(__file__).parent.parent
WIDE = (9.0, 16.0)
FULL = BackendUnavailable("cannot find room on the GPU", "take --network small")

Answer = Callable[[np.ndarray], np.ndarray]


def mean(image: np.ndarray) -> np.ndarray:
    """What the network of these tests computes."""
    return image.mean(-1, keepdims=True) / np.float32(255)


class PlayedGpu:
    """A backend that answers as it is told to."""

    name = "TensorRT 11.4, bright.onnx, fp16, RTX 4070"
    batch = 1

    def __init__(self, network: Path, area: int | None = None, answer: Answer = mean) -> None:
        self.answer, self.fails, self.is_open = answer, False, True
        self._area = area or 64 * 64

    def fit(self, display_hw: tuple[float, float]) -> tuple[int, int]:
        """As the real ones do."""
        if self.fails:
            raise FULL
        return input_hw_for(display_hw, self._area)

    def infer(self, image: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """The answer that is asked for."""
        if self.fails:
            raise FULL
        return self.answer(image)

    def close(self) -> None:
        """Remembered."""
        self.is_open = False


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[PlayedGpu]:
    """A machine with a GPU that serves; those that were opened."""
    opened: list[PlayedGpu] = []

    def open_played(network: Path, area: int | None = None, batch: int = 1) -> PlayedGpu:
        opened.append(PlayedGpu(network, area))
        opened[-1].batch = batch
        return opened[-1]

    monkeypatch.setattr(choice, "has_driver", lambda: True)
    monkeypatch.setattr("stream.backends.trt.TensorRt", open_played)
    return opened


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without NVIDIA's driver, whatever this one has."""
    for place in (choice, nvidia, doctor):
        monkeypatch.setattr(place, "has_driver", lambda: False)


def test_auto_without_a_driver_is_the_processor_and_says_nothing(
    bright_network, no_driver, caplog
) -> None:
    with caplog.at_level(logging.INFO), closing(open_backend(bright_network, engine="auto")) as it:
        assert isinstance(it, OpenVino)
    assert not caplog.records


@pytest.mark.skipif(nvidia.has_driver(), reason="is about machines without NVIDIA's driver")
def test_auto_without_a_driver_loads_nothing() -> None:
    code = """
import sys
from stream.backends import open_backend, WIDE
from stream.backends.choice import open_on_gpu
assert open_on_gpu("default", None, "auto", None, WIDE) is None
assert not {"tensorrt", "tensorrt_rtx", "cuda", "stream.backends.trt"} & set(sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_a_gpu_that_was_asked_for_and_is_not_there_is_an_error(bright_network, no_driver) -> None:
    with pytest.raises(BackendUnavailable, match="no NVIDIA driver: install NVIDIA's driver"):
        open_backend(bright_network, engine="tensorrt")


@pytest.mark.parametrize("command", ["image", "video"])
def test_the_command_says_so_in_one_line(
    command, bright_network, no_driver, tmp_path, capsys, make_clip
) -> None:
    source = tmp_path / "in.png"
    Image.new("RGB", (64, 48)).save(source)
    source, target = (source, "out.png") if command == "image" else (make_clip("a.mp4"), "out.mp4")
    words = [command, str(source), str(tmp_path / target), "--engine", "tensorrt"]
    assert run.main([*words, "--network", str(bright_network)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "run.py: no NVIDIA driver: install NVIDIA's driver for this card, or let the processor do "
        "it: --engine cpu"
    ]
    assert not (tmp_path / target).exists()


def test_live_says_so_as_well(bright_network, no_driver, make_clip, capsys) -> None:
    words = ["live", "--camera", str(make_clip("a.mp4")), "--output", "window"]
    assert run.main([*words, "--engine", "tensorrt", "--network", str(bright_network)]) == 1
    assert "run.py: no NVIDIA driver" in capsys.readouterr().err


def test_an_unknown_engine_is_wrong_usage(capsys) -> None:
    assert run.main(["image", "a.png", "b.png", "--engine", "cuda"]) == 2
    assert "tensorrt" in capsys.readouterr().err


def test_a_gpu_that_serves_is_taken_and_told_in_one_line(bright_network, gpu, caplog) -> None:
    for engine in ("auto", "tensorrt"):
        caplog.clear()
        with (
            caplog.at_level(logging.INFO),
            closing(open_backend(bright_network, engine=engine)) as backend,
        ):
            assert backend.name == PlayedGpu.name
        assert [record.message for record in caplog.records] == [
            f"{PlayedGpu.name}: agrees with the processor"
        ]
        assert not gpu[-1].is_open


WRONG: dict[str, Answer] = {
    "black": lambda image: np.zeros_like(mean(image)),
    "upside down": lambda image: mean(image)[:, ::-1],
    "no number": lambda image: np.full_like(mean(image), np.nan),
}


@pytest.mark.parametrize("what", [*WRONG, "frozen"])
def test_a_gpu_that_answers_otherwise_is_found_out(bright_network, what) -> None:
    with closing(OpenVino(bright_network)) as processor:
        first = mean(probe(processor.fit(WIDE), 0)[0])
        answer = WRONG.get(what, lambda image: first)
        gpu = PlayedGpu(bright_network, answer=answer)
        with pytest.raises(BackendUnavailable, match="does not compute what the processor"):
            check_agreement(gpu, processor, WIDE)
        check_agreement(PlayedGpu(bright_network), processor, WIDE)


def test_a_batch_that_answers_otherwise_is_found_out(bright_network) -> None:
    def first_for_all(image: np.ndarray) -> np.ndarray:
        return np.repeat(mean(image)[:1], len(image), axis=0)  # right for one alone

    gpu = PlayedGpu(bright_network, answer=first_for_all)
    with closing(OpenVino(bright_network)) as processor:
        check_agreement(gpu, processor, WIDE)
        gpu.batch = 8
        with pytest.raises(BackendUnavailable, match="does not compute what the processor"):
            check_agreement(gpu, processor, WIDE)


def test_what_the_shipped_networks_answer_lets_a_frozen_one_be_found() -> None:
    for name in ("default", "small"):
        with closing(open_backend(name)) as backend:
            answers = [backend.infer(*probe(backend.fit(WIDE), seed)).copy() for seed in (0, 1)]
        assert np.abs(answers[0] - answers[1]).mean() > 5 * MOST_APART
        assert answers[0].mean() > 5 * MOST_APART  # nor would black pass


def test_auto_goes_on_on_the_processor_where_the_gpu_does_not_agree(
    bright_network, gpu, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(
        "stream.backends.trt.TensorRt",
        lambda *asked, batch: PlayedGpu(*asked, answer=WRONG["black"]),
    )
    with closing(open_backend(bright_network, engine="auto")) as backend:
        assert isinstance(backend, OpenVino)
    assert "the processor runs the network, not the GPU: TensorRT 11.4" in caplog.text
    with pytest.raises(BackendUnavailable, match="does not compute"):
        open_backend(bright_network, engine="tensorrt")


@pytest.mark.parametrize("where", ["fit", "infer"])
def test_auto_goes_on_on_the_processor_when_the_gpu_gives_up(bright_network, caplog, where) -> None:
    gpu = PlayedGpu(bright_network)
    with closing(GpuOrProcessor(gpu, lambda: OpenVino(bright_network))) as backend:
        hw = backend.fit(WIDE)
        image, previous = probe(hw)
        before = backend.infer(image, previous).copy()
        gpu.fails = True
        if where == "fit":
            assert backend.fit(WIDE) == hw
        for _ in range(2):
            np.testing.assert_allclose(backend.infer(image, previous), before, atol=1e-4)
        assert backend.name.startswith("OpenVINO")
        assert gpu.is_open, "kernels of frames under way may still use it"
    assert not gpu.is_open
    assert caplog.text.count("the processor goes on with the network: cannot find room") == 1


def test_the_processor_takes_over_several_frames_at_once(bright_network) -> None:
    gpu = PlayedGpu(bright_network)
    gpu.batch = 4
    with closing(GpuOrProcessor(gpu, lambda: OpenVino(bright_network))) as backend:
        shown = [probe(backend.fit(WIDE), seed) for seed in range(3)]
        images, previous = (np.concatenate(each) for each in zip(*shown, strict=True))
        assert backend.batch == 4
        before = backend.infer(images, previous).copy()
        gpu.fails = True
        np.testing.assert_allclose(backend.infer(images, previous), before, atol=1e-4)
        assert backend.batch == 1  # one by one is as fast on the processor


def test_pictures_are_left_to_the_processor_by_auto(bright_network, gpu, tmp_path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "in.png")
    words = ["image", str(tmp_path / "in.png"), "--network", str(bright_network)]
    assert run.main([*words, str(tmp_path / "a.png")]) == 0
    assert not gpu
    assert run.main([*words, str(tmp_path / "b.png"), "--engine", "tensorrt"]) == 0
    assert len(gpu) == 1
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_clip_is_run_on_the_gpu_by_auto(bright_network, gpu, make_clip, tmp_path, capsys) -> None:
    words = ["video", str(make_clip("a.mp4")), str(tmp_path / "b.mp4")]
    assert run.main([*words, "--network", str(bright_network)]) == 0
    assert len(gpu) == 1
    assert f"engine: {PlayedGpu.name}" in capsys.readouterr().out


def test_doctor_says_the_same(bright_network, gpu, no_driver, monkeypatch) -> None:
    assert doctor._gpu().what == "no NVIDIA driver"
    assert doctor._gpu().remedy == "none is needed: the processor serves"
    monkeypatch.setattr(doctor, "has_driver", lambda: True)

    def refused(*asked: object, **how: object) -> None:
        raise FULL

    monkeypatch.setattr(doctor, "open_backend", refused)
    found = doctor._gpu()
    assert (found.is_there, found.what, found.remedy) == (False, FULL.reason, FULL.remedy)
    monkeypatch.setattr(doctor, "open_backend", lambda *asked, **how: PlayedGpu(bright_network))
    assert (doctor._gpu().is_there, doctor._gpu().what) == (True, PlayedGpu.name)


def test_neither_package_is_named_with_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(flavor.importlib.util, "find_spec", lambda package: None)
    with pytest.raises(BackendUnavailable, match="tensorrt and tensorrt-rtx is installed: pip"):
        flavor.load()


def test_tensorrt_comes_before_tensorrt_rtx_and_a_broken_one_is_told(monkeypatch) -> None:
    class Whole:
        __version__ = "1.7.1"

    def load(package: str) -> type[Whole]:
        if package in broken:
            raise ImportError("libcudart.so.13: cannot open shared object file")
        return Whole

    broken: set[str] = set()
    monkeypatch.setattr(flavor.importlib.util, "find_spec", lambda package: "there")
    monkeypatch.setattr(flavor.importlib, "import_module", load)
    assert flavor.load().name == "TensorRT"
    broken.add("tensorrt")
    assert flavor.load().name == "TensorRT-RTX"
    broken.add("tensorrt_rtx")
    with pytest.raises(BackendUnavailable, match=r"TensorRT does not load \(libcudart.*anew: pip"):
        flavor.load()


def test_tensorrt_needs_the_gpu_that_it_builds_for() -> None:
    proper = flavor.TensorRtProper(None, "11.4")
    with pytest.raises(BackendUnavailable, match="builds only on the GPU"):
        proper.bounds(None)
    ours = proper.bounds(GpuCard("H100", (9, 0), "590.44, CUDA 13.1"))
    assert ours == [
        {"made by": "TensorRT 11.4", "gpu": "H100 (9.0)", "driver": "590.44, CUDA 13.1"}
    ]


def test_tensorrt_goes_on_from_its_timings_unless_they_are_damaged() -> None:
    class Config:
        taken: SimpleNamespace | None = None

        def create_timing_cache(self, timings: bytes) -> SimpleNamespace | None:
            known = SimpleNamespace(serialize=lambda: timings + b", more")
            return None if timings == b"damaged" else known

        def set_timing_cache(self, cache: SimpleNamespace, ignore_mismatch: bool) -> None:
            assert not ignore_mismatch
            self.taken = cache

        def get_timing_cache(self) -> SimpleNamespace | None:
            return self.taken

    proper = flavor.TensorRtProper(None, "11.4")
    for timings, kept in ((b"some", b"some, more"), (b"damaged", b"")):
        config = Config()
        proper.prepare(config, None, timings)
        assert proper.timings(config) == kept


def test_bindings_that_are_missing_are_named(monkeypatch) -> None:
    monkeypatch.setattr(nvidia, "has_driver", lambda: True)
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(BackendUnavailable, match=r"no package cuda-bindings .*requirements-gpu"):
        nvidia.first_card()


def test_no_driver_is_found_out_at_once(no_driver) -> None:
    began = time.perf_counter()
    with pytest.raises(BackendUnavailable, match="no NVIDIA driver"):
        nvidia.first_card()
    assert time.perf_counter() - began < 0.05
