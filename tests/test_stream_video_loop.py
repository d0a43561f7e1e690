"""VideoLoop: behind each frame the clip's frame of that time, in the frame's own values."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stream import cover
from stream.frame import ColorTags, Frame, Matrix, Primaries, Transfer
from stream.video_loop import Endless, VideoLoop

SMPTE170M = {"colorspace": 6, "color_primaries": 6, "color_trc": 6, "color_range": 1}
BT709 = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1}
PQ = ColorTags(Matrix.BT2020_NCL, False, Primaries.BT2020, Transfer.PQ)
HLG = ColorTags(Matrix.BT2020_NCL, False, Primaries.BT2020, Transfer.HLG)
Loop = Callable[..., VideoLoop]
PATIENCE_S = 30  # a broken test ends instead of hanging; no working one waits for it


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    """loop(pictures, …) is a background that shows these planes, kept to the bit by H.264."""
    opened: list[VideoLoop] = []

    def make(
        pictures: list[tuple[np.ndarray, ...]],
        *,
        pts: list[int] | None = None,
        time_base: Fraction = Fraction(1, 30),
        pix_fmt: str = "yuv420p",
        tags: dict[str, int] = BT709,
        pixel_aspect: Fraction = Fraction(1),
        ahead: int = 0,
    ) -> VideoLoop:
        path = tmp_path / f"behind{len(opened)}.mp4"
        h, w = pictures[0][0].shape
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", 1 / time_base, options={"qp": "0"})
            stream.width, stream.height, stream.pix_fmt = w, h, pix_fmt
            stream.codec_context.time_base = stream.time_base = time_base
            stream.codec_context.sample_aspect_ratio = pixel_aspect
            for name, value in tags.items():
                setattr(stream.codec_context, name, value)
            for planes, moment in zip(pictures, pts or range(len(pictures)), strict=True):
                picture = av.VideoFrame(w, h, pix_fmt)
                for plane, values in zip(picture.planes, planes, strict=True):
                    kept = np.frombuffer(plane, values.dtype).reshape(plane.height, -1)
                    kept[:, : values.shape[1]] = values
                picture.pts, picture.time_base = moment, time_base
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        opened.append(VideoLoop(str(path), ahead))
        return opened[-1]

    yield make
    for background in opened:
        background.close()


def flat(luma: int, cb: int = 128, cr: int = 128, size_hw: tuple[int, int] = (36, 64)):
    """Planes of one 4:2:0 picture."""
    dtype = np.uint8 if cb < 256 else np.uint16
    half_hw = (size_hw[0] // 2, size_hw[1] // 2)
    return tuple(np.full(hw, v, dtype) for hw, v in ((size_hw, luma), (half_hw, cb), (half_hw, cr)))


def numbered(count: int) -> list[tuple[np.ndarray, ...]]:
    return [flat(20 + 10 * number) for number in range(count)]


def behind(background: VideoLoop, frame: Frame) -> tuple[np.ndarray, ...]:
    return background.compose(frame, np.zeros(frame.size_hw, np.float32)).planes


def number_behind(background: VideoLoop, frame: Frame) -> float:
    luma = behind(background, frame)[0]
    return (float(luma[luma.shape[0] // 2, luma.shape[1] // 2]) - 20) / 10


@pytest.mark.parametrize(
    ("clip_tick", "pts"),
    [
        (Fraction(1, 30), range(5)),
        (Fraction(1, 24), range(5)),
        (Fraction(1, 60), range(7)),
        (Fraction(1001, 30000), range(4)),
        (Fraction(1, 10), range(3)),
        (Fraction(1, 50), [0, 1, 5, 6, 11]),  # a variable rate
        (Fraction(1, 30), [0]),  # a single frame
    ],
)
@pytest.mark.parametrize("frame_tick", [Fraction(1, 30), Fraction(1, 25), Fraction(1001, 60000)])
def test_each_frame_has_the_clips_frame_of_its_time(
    make_frame, loop, clip_tick, pts, frame_tick
) -> None:
    background, first = loop(numbered(len(pts)), pts=list(pts), time_base=clip_tick), 90
    last_s = 1 / background._clip.rate  # how long the last frame is shown
    duration = pts[-1] * clip_tick + last_s
    for number in range(120):
        frame = make_frame(size_hw=(36, 64), pts=first + number, time_base=frame_tick)
        moment = (number * frame_tick) % duration
        expected = max(index for index, shown in enumerate(pts) if shown * clip_tick <= moment)
        assert number_behind(background, frame) == expected, f"frame {number}, at {moment} s"


def test_gaps_in_the_clip_before_are_no_gaps_in_the_background(make_frame, loop) -> None:
    background = loop(numbered(6))
    moments = [0, 1, 1, 4, 5, 11, 30, 300]
    shown = [number_behind(background, make_frame(size_hw=(36, 64), pts=pts)) for pts in moments]
    assert shown == [pts % 6 for pts in moments]


def test_a_clip_that_starts_late_starts_at_once(make_frame, loop) -> None:
    background = loop(numbered(3), pts=[10, 11, 12])
    shown = [number_behind(background, make_frame(size_hw=(36, 64), pts=pts)) for pts in range(6)]
    assert shown == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("pixel_aspect", [Fraction(1), Fraction(2), Fraction(8, 9)])
@pytest.mark.parametrize("clip_hw", [(36, 64), (64, 36), (72, 128), (20, 100)])
@pytest.mark.parametrize("frame_hw", [(48, 64), (47, 63), (64, 48), (90, 40)])
def test_it_covers_and_keeps_its_aspect_and_center(
    make_frame, loop, frame_hw, clip_hw, pixel_aspect
) -> None:
    _, columns = np.indices(clip_hw)
    luma = np.rint(16 + 219 * (columns + 0.5) / clip_hw[1]).astype(np.uint8)
    cb_rows, _ = np.indices((clip_hw[0] // 2, clip_hw[1] // 2))
    cb = np.rint(16 + 224 * (cb_rows + 0.5) / (clip_hw[0] // 2)).astype(np.uint8)
    background = loop([(luma, cb, np.full_like(cb, 128))], pixel_aspect=pixel_aspect)
    shown = behind(background, make_frame(size_hw=frame_hw))
    (height, width), (h, w) = frame_hw, clip_hw
    scale = max(height / h, width / (w * pixel_aspect))
    slack = 1.6 / min(frame_hw) + 1 / 219  # sizes and crops are rounded to whole chroma values
    for plane, low, span, axis, side in (
        (0, 16, 219, 1, w * float(pixel_aspect)),
        (1, 16, 224, 0, h),
    ):
        positions = np.indices(shown[plane].shape)[axis] + 0.5
        # The offset from the center in the frame's pixels, then as a part of the clip's side.
        away = (positions * frame_hw[axis] / shown[plane].shape[axis]) - frame_hw[axis] / 2
        expected = 0.5 + away / (float(scale) * side)
        inside = np.abs(expected - 0.5) < 0.5 - 1.5 / clip_hw[axis]
        found = (shown[plane] - float(low)) / span
        assert np.abs(found - expected)[inside].max() <= slack
    assert np.all(np.abs(shown[2].astype(int) - 128) <= 1)


@pytest.mark.parametrize(("format", "unit"), [("yuv420p10le", 4), ("yuv422p12le", 16)])
def test_an_8_bit_clip_is_as_bright_behind_a_deeper_frame(make_frame, loop, format, unit) -> None:
    background = loop([flat(180, 90, 160)])
    planes = behind(background, make_frame(format, (36, 64)))
    for plane, value in zip(planes, (180, 90, 160), strict=True):
        assert np.all(np.abs(plane.astype(int) - value * unit) <= unit)


def test_a_10_bit_clip_is_as_bright_behind_an_8_bit_frame(make_frame, loop) -> None:
    background = loop([flat(720, 360, 640)], pix_fmt="yuv420p10le")
    for plane, value in zip(
        behind(background, make_frame(size_hw=(36, 64))), (180, 90, 160), strict=True
    ):
        assert np.all(np.abs(plane.astype(int) - value) <= 1)


def test_an_sd_clip_keeps_its_colors_behind_an_hd_frame(make_frame, loop) -> None:
    background = loop([flat(81, 90, 240)], tags=SMPTE170M)  # BT.601's red
    planes = behind(background, make_frame(size_hw=(36, 64)))
    for plane, value in zip(planes, (63, 102, 240), strict=True):  # BT.709's red
        assert np.all(np.abs(plane.astype(int) - value) <= 2)


def test_a_full_range_clip_keeps_black_and_white(make_frame, loop) -> None:
    tags = {**BT709, "color_range": 2}
    background = loop([flat(0), flat(255)], tags=tags, pix_fmt="yuvj420p")
    for pts, value in ((0, 16), (1, 235)):
        luma = behind(background, make_frame(size_hw=(36, 64), pts=pts))[0]
        assert np.all(np.abs(luma.astype(int) - value) <= 1)


def test_a_clip_behind_a_picture_is_rgb(make_frame, loop) -> None:
    background = loop([flat(63, 102, 240)])  # BT.709's red
    for plane, value in zip(
        behind(background, make_frame("gbrp", (36, 64))), (0, 0, 255), strict=True
    ):
        assert np.all(np.abs(plane.astype(int) - value) <= 3)


@pytest.mark.parametrize(("tags", "level"), [(PQ, 0.58), (HLG, 0.75)])
def test_an_sdr_clips_white_lands_at_reference_white(make_frame, loop, tags, level) -> None:
    background = loop([flat(235), flat(16)])
    white, *chroma = behind(background, make_frame("yuv420p10le", (36, 64), color=tags))
    assert np.all(np.abs(white - (64 + 876 * level)) <= 4)
    assert all(np.all(np.abs(plane.astype(int) - 512) <= 1) for plane in chroma)
    black = behind(background, make_frame("yuv420p10le", (36, 64), color=tags, pts=1))[0]
    assert np.all(np.abs(black.astype(int) - 64) <= 4)


def test_an_hdr_clips_white_is_white_behind_an_sdr_frame(make_frame, loop) -> None:
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
    background = loop([flat(573, 512, 512)], pix_fmt="yuv420p10le", tags=tags)
    white, *chroma = behind(background, make_frame(size_hw=(36, 64)))
    assert np.all(np.abs(white.astype(int) - 235) <= 1)
    assert all(np.all(np.abs(plane.astype(int) - 128) <= 1) for plane in chroma)


def test_a_clip_on_a_phones_side_stands_upright(make_clip, make_frame) -> None:
    background = VideoLoop(str(make_clip("phone.mp4", rotation=90)))
    assert background._shown.size_hw == (64, 48)
    background.close()


def test_close_twice_is_fine(loop, make_frame) -> None:
    background = loop(numbered(3))
    behind(background, make_frame(size_hw=(36, 64)))
    background.close()
    background.close()


# Live: decoded ahead, waited for by nobody


def until(found: Callable[[], object]) -> bool:
    """Wait until it is true."""
    until_s = time.monotonic() + PATIENCE_S
    while not found() and time.monotonic() < until_s:
        time.sleep(0.001)
    return bool(found())


def test_ahead_it_shows_the_clip_in_order_around_and_around(make_frame, loop) -> None:
    background, seen = loop(numbered(4), ahead=3), list[float]()
    for pts in range(40):
        frame = make_frame(size_hw=(36, 64), pts=pts)
        shown = number_behind(background, frame)
        if pts and shown == seen[-1]:  # late: the same moment again, until it has come
            assert until(lambda frame=frame, old=shown: number_behind(background, frame) != old)
            shown = number_behind(background, frame)
        seen.append(shown)
    assert seen == [pts % 4 for pts in range(40)]


def test_ahead_the_line_never_waits_and_a_late_clip_goes_on_where_it_was(
    make_frame, loop, monkeypatch
) -> None:
    may_decode, whole = threading.Event(), Endless._fitted

    def held(clip: Endless, frame: Frame) -> Frame:
        assert may_decode.wait(PATIENCE_S)
        return whole(clip, frame)

    may_decode.set()
    monkeypatch.setattr(Endless, "_fitted", held)
    background = loop(numbered(20), ahead=2)
    first = number_behind(background, make_frame(size_hw=(36, 64), pts=0))
    may_decode.clear()
    shown = [number_behind(background, make_frame(size_hw=(36, 64), pts=pts)) for pts in (5, 9, 99)]
    assert first == 0 and shown[-1] <= 4, "what was ready, and then that again"
    assert shown == sorted(shown) and len(set(shown[1:])) == 1
    may_decode.set()
    frame = make_frame(size_hw=(36, 64), pts=99)
    assert until(lambda: number_behind(background, frame) == shown[-1] + 1)
    assert number_behind(background, frame) == shown[-1] + 1, "no haste to catch up"


def test_ahead_frames_come_fitted_so_that_the_line_has_nothing_to_scale(
    make_frame, loop, monkeypatch
) -> None:
    by_threads, scaled = list[str](), cover.reformatted

    def counted(*of):
        by_threads.append(threading.current_thread().name)
        return scaled(*of)

    monkeypatch.setattr(cover, "reformatted", counted)
    background, moments = loop([flat(200, size_hw=(72, 128))] * 9, ahead=2), iter(range(10**6))

    def next_one() -> object:
        return behind(background, make_frame(size_hw=(36, 64), pts=next(moments)))

    # Those that were read before it was known what they are for are scaled by the line.
    assert until(lambda: next_one() and "read ahead" in by_threads)
    assert until(lambda: next_one() and by_threads[-9:] == ["read ahead"] * 9)


def test_ahead_a_clip_that_is_gone_at_its_end_stands_still(make_frame, loop, caplog) -> None:
    background = loop(numbered(3), ahead=2)
    Path(background._clip._path).unlink()
    moments = iter(range(10**6))
    assert until(
        lambda: (
            behind(background, make_frame(size_hw=(36, 64), pts=next(moments)))
            and "stands still" in caplog.text
        )
    )
    assert number_behind(background, make_frame(size_hw=(36, 64), pts=10**7)) == 2
    assert len(caplog.records) == 1


def test_ahead_closing_ends_the_thread(make_frame, loop) -> None:
    background = loop(numbered(3), ahead=2)
    behind(background, make_frame(size_hw=(36, 64)))
    background.close()
    background.close()
    assert not [each for each in threading.enumerate() if each.name == "read ahead"]
