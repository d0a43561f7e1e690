"""The test pattern: a person who moves in every frame, given as a camera gives frames."""

from __future__ import annotations

import threading
from itertools import islice, pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from stream import StreamError
from stream.backends import open_backend
from stream.matte import MatteRefiner
from stream.segmenter import Segmenter
from stream.sources import test_pattern
from stream.sources.test_pattern import Loop, drawn, frames_of


@pytest.mark.parametrize("size_hw", [(64, 64), (96, 128), (180, 320), (320, 180)])
def test_it_has_the_size_and_the_format_of_live_frames(size_hw) -> None:
    frames = drawn(size_hw)
    assert {frame.size_hw for frame in frames} == {size_hw}
    assert {frame.format for frame in frames} == {"yuv420p"}
    assert len(frames) == 60


def test_large_frames_are_fewer() -> None:
    assert len(drawn((2160, 3840))) == 256_000_000 // (2160 * 3840 * 3 // 2)


def test_something_moves_in_every_frame_to_and_fro() -> None:
    given = list(islice(Loop(drawn((90, 160))), 200))
    for before, after in pairwise(given):
        assert not np.array_equal(before.planes[0], after.planes[0])
        assert after.pts > before.pts and after.captured_ns >= before.captured_ns
    assert np.array_equal(given[0].planes[0], given[118].planes[0])  # 60 there, 58 between back


def test_its_person_is_a_person_to_the_network_and_the_room_is_not() -> None:
    segmenter, refiner = Segmenter(open_backend("default")), MatteRefiner()
    frame = drawn((360, 640))[30]
    alpha = segmenter.segment(frame)
    assert alpha is not None
    alpha = refiner.refine(alpha, frame)
    assert 0.1 < (alpha > 0.5).mean() < 0.4
    assert alpha[150, 320] > 0.99  # the face
    assert (alpha[:, :100] == 0).mean() > 0.99 and (alpha[:150, 500:] == 0).mean() > 0.99
    hair = alpha[20:80, 240:400]
    assert ((hair > 0.1) & (hair < 0.9)).mean() > 0.01


@pytest.mark.parametrize("size_hw", [(62, 128), (720, 8194), (721, 1280), (720, 1281)])
def test_a_size_that_it_cannot_have_is_refused(size_hw) -> None:
    with pytest.raises(StreamError, match=f"a test pattern of {size_hw[1]}x{size_hw[0]}"):
        drawn(size_hw)


def test_at_a_rate_frames_come_by_the_clock(monkeypatch, make_frame) -> None:
    now = SimpleNamespace(ns=5_000_000_000)
    monkeypatch.setattr(test_pattern, "time", SimpleNamespace(monotonic_ns=lambda: now.ns))
    loop = Loop([make_frame(seed=seed) for seed in range(3)], fps=25)

    def wait(seconds: float) -> bool:
        now.ns += round(seconds * 1e9)
        return False

    loop._closed = SimpleNamespace(wait=wait, is_set=lambda: False)
    given = [frame.captured_ns for frame in islice(loop, 6)]
    assert [b - a for a, b in pairwise(given)] == [40_000_000] * 5


def test_it_goes_on_where_it_stopped(make_frame) -> None:
    loop = Loop([make_frame(seed=seed) for seed in range(5)])
    first, second = list(islice(loop, 3)), list(islice(loop, 3))
    assert [frame.pts for frame in first + second] == [0, 1000, 2000, 3000, 4000, 5000]


def test_closed_it_ends_whoever_waits(make_frame) -> None:
    loop, given = Loop([make_frame(seed=seed) for seed in range(2)], fps=1), list[object]()
    thread = threading.Thread(target=lambda: given.extend(loop))
    thread.start()
    loop.close()
    thread.join(timeout=20)
    assert not thread.is_alive() and len(given) <= 1


def test_a_clip_is_held_as_a_camera_would_give_it(make_clip) -> None:
    clip = make_clip("clip.mp4", size_hw=(90, 160), pts=list(range(5)))
    assert [frame.size_hw for frame in frames_of(str(clip), None)] == [(90, 160)] * 5
    assert {frame.size_hw for frame in frames_of(str(clip), (64, 64))} == {(64, 64)}
