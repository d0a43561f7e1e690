"""Several clips in one run: each as if it were alone, and none lost by another's failure."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import run
from stream import StreamError, many
from stream.backends import choice
from stream.backends.together import Together
from stream.config import VideosConfig
from stream.letterbox import input_hw_for
from stream.many import clips_of, videos
from stream.overlap import WriteBehind
from stream.report import Report, Reports
from stream.signals import ended_by_signals
from stream.sinks.codecs import suffix_for
from stream.sources.video_file import VideoFile
from stream.staging import Interrupted

LOSSLESS = ("--codec", "ffv1", "--background", "matte", "--edges", "plain")


def saved(path: Path, *nodes: tuple) -> Path:
    """A network of nodes (kind, inputs, output), that looks back."""
    onnx = pytest.importorskip("onnx", reason="onnx, of requirements-dev.txt, is not installed")
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    values = [
        make.make_tensor_value_info(name, kind, [1, 64, 64, channels])
        for name, channels in (("image", 3), ("previous", 1), ("alpha", 1))
    ]
    mean = make.make_node("ReduceMean", ["image"], ["mean"], axes=[3], keepdims=1)
    body = [mean, *(make.make_node(kind, inputs, [output]) for kind, inputs, output in nodes)]
    weights = [
        make.make_tensor(name, kind, [], [value])
        for name, value in (("half", 0.5), ("unit", 1 / 510), ("none", 0.0))
    ]
    graph = make.make_graph(body, "test", values[:2], values[2:], weights)
    opset = [make.make_opsetid("", 17)]
    onnx.save(make.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


@pytest.fixture(scope="module")
def fading(tmp_path_factory) -> Path:
    """A network that never forgets: half of the brightness, and half of the matte before."""
    return saved(
        tmp_path_factory.mktemp("network") / "fading.onnx",
        ("Mul", ["mean", "unit"], "now"),
        ("Mul", ["previous", "half"], "before"),
        ("Add", ["now", "before"], "alpha"),
    )


@pytest.fixture(scope="module")
def delicate(tmp_path_factory) -> Path:
    """A network that answers black pixels with what is no number."""
    return saved(
        tmp_path_factory.mktemp("network") / "delicate.onnx",
        ("Mul", ["previous", "none"], "nothing"),
        ("Div", ["mean", "mean"], "one"),
        ("Add", ["one", "nothing"], "alpha"),
    )


def film(path: Path, colors: list[int], size_hw: tuple[int, int] = (48, 64)) -> Path:
    """A gray clip, a frame for each of the values."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", 25)
        stream.height, stream.width, stream.pix_fmt = *size_hw, "yuv420p"
        for number, color in enumerate(colors):
            picture = av.VideoFrame(size_hw[1], size_hw[0], "yuv420p")
            for plane, value in zip(picture.planes, (color, 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def films(tmp_path: Path) -> list[Path]:
    """Of three lengths and two shapes; in steps small enough to be no cut."""
    rng = np.random.default_rng(0)
    shapes = {"a": (12, (48, 64)), "b": (20, (32, 128)), "c": (7, (48, 64))}
    return [
        film(tmp_path / f"{name}.mkv", list(rng.integers(90, 110, length)), size_hw)
        for name, (length, size_hw) in shapes.items()
    ]


def frames_of(path: Path) -> list[np.ndarray]:
    """The first plane of each."""
    with closing(VideoFile(str(path))) as clip:
        return [frame.planes[0].copy() for frame in clip]


def called(*words: object) -> int:
    return run.main(["video", *map(str, words)])


class PlayedGpu:
    """TensorRT as the app sees it: the fading network's sum, on up to eight frames at once."""

    fails_at: int | None = None

    def __init__(self, network: Path, area: int | None = None, batch: int = 1) -> None:
        self.name, self.batch, self.rows = "TensorRT, played", batch, list[int]()

    def fit(self, display_hw: tuple[float, float]) -> tuple[int, int]:
        """As the real ones do."""
        return input_hw_for(display_hw, 64 * 64)

    def infer(self, image: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """What the network computes."""
        self.rows.append(len(image))
        if len(self.rows) == self.fails_at:
            raise choice.BackendUnavailable("cannot run: the GPU is lost", "take --engine cpu")
        half = np.float32(0.5)
        return image.mean(-1, keepdims=True) * np.float32(1 / 510) + half * previous

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[PlayedGpu]:
    """A machine with a GPU; those that were opened."""
    opened: list[PlayedGpu] = []

    def play(network: Path, area: int | None = None, batch: int = 1) -> PlayedGpu:
        opened.append(PlayedGpu(network, area, batch))
        return opened[-1]

    monkeypatch.setattr(choice, "has_driver", lambda: True)
    monkeypatch.setattr("stream.backends.trt.TensorRt", play)
    return opened


def test_each_matte_is_that_of_the_clip_alone(films, fading, tmp_path, capsys) -> None:
    words = ("--network", fading, "--engine", "cpu", *LOSSLESS)
    alone = tmp_path / "alone"
    alone.mkdir()
    for each in films:
        assert called(each, alone / each.name, *words) == 0
    assert called(*films, tmp_path / "company", *words) == 0
    for each in films:
        wanted, got = (frames_of(folder / each.name) for folder in (alone, tmp_path / "company"))
        assert len(got) == len(wanted) == len(frames_of(each))
        # On the processor each frame is computed by itself: equal to the bit.
        assert all(np.array_equal(*pair) for pair in zip(got, wanted, strict=True))
        assert np.ptp([frame.mean() for frame in got]) > 50  # it never forgets: the start is dark
    assert "3 of 3 clips, 39 frames in" in capsys.readouterr().out


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three lines begin together, however long each took to open its clip."""
    seat, all_there = Together.seat, threading.Barrier(3)

    def taken(together: Together, shown_hw: tuple[float, float]):
        place = seat(together, shown_hw)
        all_there.wait(60)
        return place

    monkeypatch.setattr(Together, "seat", taken)


def test_on_a_gpu_a_batch_has_one_frame_of_each(films, fading, tmp_path, gpus, at_once) -> None:
    words = ("--network", fading, *LOSSLESS)
    assert called(*films, tmp_path / "gpu", *words, "--engine", "tensorrt") == 0
    assert called(*films, tmp_path / "cpu", *words, "--engine", "cpu") == 0
    (gpu,) = gpus
    trial, work = gpu.rows[:3], gpu.rows[3:]
    assert gpu.batch == many._AT_ONCE and trial == [1, 1, 2]
    # Of a and c while c lasts; the wide b is a batch of its own.
    assert sorted(work) == [1] * (20 + 12 - 7) + [2] * 7
    for each in films:
        got, wanted = (frames_of(tmp_path / where / each.name) for where in ("gpu", "cpu"))
        pairs = zip(got, wanted, strict=True)
        assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in pairs)


def test_when_the_gpu_gives_up_the_processor_finishes_them_all(
    films, fading, tmp_path, gpus, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(PlayedGpu, "fails_at", 9)
    words = ("--network", fading, *LOSSLESS)
    assert called(*films, tmp_path / "auto", *words) == 0
    assert called(*films, tmp_path / "cpu", *words, "--engine", "cpu") == 0
    assert caplog.text.count("the processor goes on with the network") == 1
    for each in films:
        got, wanted = (frames_of(tmp_path / where / each.name) for where in ("auto", "cpu"))
        pairs = zip(got, wanted, strict=True)
        assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in pairs)


def test_a_clip_that_cannot_be_read_is_named_and_the_others_are_whole(
    films, fading, tmp_path, capsys
) -> None:
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"no clip")
    out = tmp_path / "out"
    assert called(films[0], broken, films[2], out, "--network", fading, *LOSSLESS) == 1
    said = capsys.readouterr()
    assert f"run.py: {broken} failed: cannot open" in said.err and "Traceback" not in said.err
    assert "2 of 3 clips, 19 frames" in said.out and "broken" not in said.out
    assert sorted(path.name for path in out.iterdir()) == ["a.mkv", "c.mkv"]
    assert [len(frames_of(out / name)) for name in ("a.mkv", "c.mkv")] == [12, 7]


@pytest.mark.parametrize("engine", ["cpu", "tensorrt"])
def test_a_clip_that_fails_midway_leaves_nothing_and_costs_no_other(
    delicate, fading, tmp_path, capsys, gpus, engine, monkeypatch
) -> None:
    def answer(gpu: PlayedGpu, image: np.ndarray, previous: np.ndarray) -> np.ndarray:
        mean = image.mean(-1, keepdims=True)
        return np.where(mean == 0, np.float32(np.nan), np.float32(1)) + 0 * previous

    monkeypatch.setattr(PlayedGpu, "infer", answer)
    monkeypatch.setattr("stream.backends.trial.check_agreement", lambda *asked: None)
    clips = [film(tmp_path / "bad.mkv", [60] * 5 + [16] * 9), film(tmp_path / "ok.mkv", [60] * 14)]
    out = tmp_path / "out"
    words = ("--network", delicate, "--engine", engine, *LOSSLESS)
    assert called(*clips, out, *words) == 1
    said = capsys.readouterr().err
    assert f"{clips[0]} failed: the network answers what is no number" in said
    assert [path.name for path in out.iterdir()] == ["ok.mkv"]
    assert len(frames_of(out / "ok.mkv")) == 14


def test_a_line_that_has_shown_all_leaves_before_it_is_encoded(
    films, fading, tmp_path, monkeypatch
) -> None:
    order: list[str] = []
    for kind, told in ((Together, "leave"), (WriteBehind, "close")):

        def noted(self, *asked, of=kind.__dict__[told], told=told):
            order.append(told)
            return of(self, *asked)

        monkeypatch.setattr(kind, told, noted)
    monkeypatch.setattr(many, "_AT_ONCE", 1)
    words = ("--network", fading, "--engine", "cpu", *LOSSLESS)
    assert called(films[0], films[2], tmp_path / "out", *words) == 0
    assert order == ["leave", "close", "leave"] * 2  # or the others would wait for its encoder


def test_more_clips_than_run_at_once_are_all_done(films, fading, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(many, "_AT_ONCE", 2)
    told: list[tuple[int, int | None]] = []
    config = VideosConfig(
        (*map(str, films), str(tmp_path / "out")), network=str(fading), codec="ffv1"
    )
    reports = videos(config, lambda done, total: told.append((done, total)))
    assert [report.frames for report in reports.reports] == [12, 20, 7]
    assert told[-1] == (39, 39) and len(told) == 39
    assert [done for done, _ in told] == list(range(1, 40))
    assert told[0][1] is None  # the third has not begun: nobody knows


def test_ctrl_c_keeps_what_is_done_of_each(fading, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(many, "_AT_ONCE", 2)
    clips = [film(tmp_path / f"{name}.mkv", [100] * 60) for name in "abc"]
    stopped = threading.Event()
    stop = many._Count.stop
    monkeypatch.setattr(many._Count, "stop", lambda count: (stop(count), stopped.set()))
    sent = threading.Event()

    def interrupt(done: int, total: int | None) -> None:
        if done < 30:
            return
        if not sent.is_set():
            sent.set()
            os.kill(os.getpid(), signal.SIGINT)
        stopped.wait(60)  # or all would be done before the signal is heard

    out = tmp_path / "out"
    words = (*map(str, clips), str(out))
    config = VideosConfig(words, network=str(fading), codec="ffv1")
    with ended_by_signals(), pytest.raises(Interrupted) as caught:
        videos(config, interrupt)
    names = sorted(path.name for path in out.iterdir())
    assert names == ["a.partial.mkv", "b.partial.mkv"]
    kept = [len(frames_of(out / name)) for name in names]
    assert 30 <= sum(kept) <= 32 and min(kept) > 0
    lines = str(caught.value).splitlines()
    assert lines[0] == "interrupted: 0 of 3 clips are whole" and len(lines) == 3
    assert all(f"kept in {out / name}" in str(caught.value) for name in names)


def test_a_bug_in_one_line_keeps_its_traceback_and_ends_no_other(
    films, fading, tmp_path, monkeypatch
) -> None:
    video = many.video

    def buggy(config, *rest):
        return 1 / 0 if config.input.endswith("a.mkv") else video(config, *rest)

    monkeypatch.setattr(many, "video", buggy)
    with pytest.raises(ZeroDivisionError):
        called(*films, tmp_path / "out", "--network", fading, *LOSSLESS)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b.mkv", "c.mkv"]


# ------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("own", "asked", "with_alpha", "wanted"),
    [
        (".mkv", None, False, ".mkv"),
        (".MOV", None, False, ".MOV"),
        (".avi", None, False, ".mp4"),
        ("", None, False, ".mp4"),
        (".mp4", "vp9", False, ".mp4"),
        (".mp4", "ffv1", False, ".mkv"),
        (".mp4", None, True, ".mov"),
        (".webm", None, True, ".webm"),
        (".mp4", "vp9", True, ".webm"),
    ],
)
def test_a_clip_keeps_its_ending_where_such_a_file_can_hold_it(
    own, asked, with_alpha, wanted
) -> None:
    assert suffix_for(own, asked, with_alpha) == wanted


def test_no_file_holds_transparency_in_every_codec() -> None:
    with pytest.raises(StreamError, match="transparency with h264: leave --codec out"):
        suffix_for(".mp4", "h264", True)


def test_outputs_are_called_as_the_clips_are(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.mov", "b.avi"):
        Path(name).touch()
    for folder in ("shots.v2", "here"):
        Path(folder).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    inputs = ("../a.mov", "../b.avi", "../shots.v2", ".", "https://host/x/talk.webm?t=1")
    clips = clips_of(VideosConfig((*inputs, "out"), quality=30))
    assert [clip.input for clip in clips] == list(inputs)
    names = ["a.mov", "b.mp4", "shots.v2.mp4", "here.mp4", "talk.webm"]
    assert [clip.output for clip in clips] == [Path("out") / name for name in names]
    assert all(clip.quality == 30 for clip in clips)


def test_one_clip_is_as_it_ever_was(tmp_path) -> None:
    (clip,) = clips_of(VideosConfig(("a.mp4", str(tmp_path / "b.webm")), force=True))
    assert (clip.input, clip.output, clip.force) == ("a.mp4", tmp_path / "b.webm", True)
    (frames,) = clips_of(VideosConfig(("a.mp4", str(tmp_path))))
    assert frames.output == tmp_path  # a folder, for pictures


@pytest.mark.parametrize(
    ("inputs", "output", "message"),
    [
        (("a.mkv", "b/a.mkv"), "out", r"cannot write out/a.mkv twice"),
        (("a.mkv", "b.mkv"), "out.mp4", r"cannot put 2 clips into out.mp4: give a folder"),
        (("a.mkv", "b.mkv"), "file", r"cannot put 2 clips into file: give a folder"),
        (("a.mkv", "none.mkv"), "out", r"cannot find none.mkv: is the name right"),
        (("a.mkv", "b.mkv"), ".", r"over itself: give another OUTPUT"),
        (("a.mkv", "b.mkv"), "full", r"cannot write full/b.mkv: it exists; --force replaces it"),
        (("a.mkv", "https://host/"), "out", r"cannot name what becomes of https://host/"),
        (("a.mkv",), None, r"cannot tell INPUT from OUTPUT"),
        (("a.mkv", "x" * 300 + ".mkv"), "out", r"cannot use xxx"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_made(
    tmp_path, monkeypatch, inputs, output, message, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.mkv", "b.mkv", "b/a.mkv", "file", "full/b.mkv"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    before = sorted(Path().rglob("*"))
    words = [*inputs, *([output] if output else [])]
    with pytest.raises(StreamError, match=message):
        videos(VideosConfig(tuple(words)))
    assert sorted(Path().rglob("*")) == before


def test_force_replaces(films, fading, tmp_path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.mkv").write_bytes(b"old")
    words = (films[0], films[2], out, "--network", fading, *LOSSLESS)
    assert called(*words) == 1
    assert (out / "a.mkv").read_bytes() == b"old" and len(list(out.iterdir())) == 1
    assert called(*words, "--force") == 0
    assert len(frames_of(out / "a.mkv")) == 12


def test_a_folder_of_pictures_is_a_clip_among_others(films, fading, tmp_path) -> None:
    (tmp_path / "shots").mkdir()
    for number in range(3):
        Image.new("RGB", (64, 48), (90 + number,) * 3).save(tmp_path / f"shots/{number}.png")
    out = tmp_path / "out"
    assert called(films[0], tmp_path / "shots", out, "--network", fading) == 0
    assert len(frames_of(out / "shots.mp4")) == 3 and len(frames_of(out / "a.mkv")) == 12


# ------------------------------------------------------------------------------ the report


def test_the_report_is_one_for_each_and_a_line_for_all() -> None:
    reports = [Report(30, 2.0, "engine", "out/a.mp4"), Report(60, 3.0, "engine", "out/b.mp4")]
    reports[1].losses.append("the end is missing")
    whole = Reports(reports, 4.0, ["c.mp4 failed: it is empty"])
    assert whole.lines()[-1] == "2 of 3 clips, 90 frames in 4.0 s (22.5 fps)"
    assert whole.lines()[:-1] == [*reports[0].lines(), *reports[1].lines()]
    assert whole.complaints == [
        "the input is damaged: the end is missing",
        "c.mp4 failed: it is empty",
    ]
    assert Reports(reports[:1]).lines() == reports[0].lines()
