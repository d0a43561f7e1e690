"""Wardrobe: the background changes while the line goes on, and the line never waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stream import StreamError
from stream.control import LiveControl, Settings
from stream.frame import Frame, gray_frame
from stream.wardrobe import Wardrobe

PATIENCE_S = 30  # a broken test ends instead of hanging; no working one waits for it
LIKE = gray_frame((48, 64))
NOBODY = np.zeros((48, 64), np.float32)


class Cloth:
    """A background of one value, that counts what is done to it and by which thread."""

    def __init__(self, luma: int) -> None:
        self.luma = luma
        self.blends = luma % 2 == 0
        self.painted_by: list[str] = []
        self.closed_by: list[str] = []

    def compose(self, frame: Frame, alpha: np.ndarray) -> Frame:
        """All of this value."""
        assert not self.closed_by, "worn after it was closed"
        return frame.with_planes((np.full(frame.size_hw, self.luma, np.uint8), *frame.planes[1:]))

    def alone(self, frame: Frame) -> Frame:
        """As with nobody."""
        self.painted_by.append(threading.current_thread().name)
        return self.compose(frame, NOBODY)

    def close(self) -> None:
        """Counts."""
        self.closed_by.append(threading.current_thread().name)


class Shop:
    """Opens specs that are numbers; one that is held back is opened when it is let go."""

    def __init__(self) -> None:
        self.sold: list[Cloth] = []
        self.asked: list[str] = []
        self.begun, self.held = threading.Event(), dict[str, threading.Event]()

    def open(self, spec: str, clip_ahead: int) -> Cloth:
        """A Cloth of that number."""
        self.asked.append(spec)
        self.begun.set()
        if spec in self.held:
            assert self.held[spec].wait(PATIENCE_S)
        if spec == "torn":
            raise StreamError("cannot use background torn: it is torn")
        if spec == "bug":
            raise ZeroDivisionError("a bug")
        self.sold.append(Cloth(int(spec)))
        return self.sold[-1]

    def hold(self, *specs: str) -> None:
        """Let these be opened only when let_go is called."""
        self.begun.clear()
        self.held |= {spec: threading.Event() for spec in specs}

    def let_go(self, spec: str) -> None:
        """Open it now."""
        self.held[spec].set()


@pytest.fixture
def shop(monkeypatch) -> Shop:
    shop = Shop()
    monkeypatch.setattr("stream.wardrobe.open_background", shop.open)
    return shop


@pytest.fixture
def control() -> LiveControl:
    return LiveControl(Settings("10"))


@pytest.fixture
def wardrobe(shop: Shop, control: LiveControl) -> Iterator[Wardrobe]:
    wardrobe = Wardrobe(control, None, LIKE)
    yield wardrobe
    wardrobe.close()
    assert all(cloth.closed_by for cloth in shop.sold), "one was left open"
    assert not [each for each in threading.enumerate() if each.name == "wardrobe"]


@pytest.fixture
def shown(wardrobe: Wardrobe) -> Callable[[], int]:
    """The value that is shown behind the next frame."""
    return lambda: int(wardrobe.compose(LIKE, NOBODY).planes[0][0, 0])


def until(found: Callable[[], object]) -> bool:
    """Wait until it is true."""
    until_s = time.monotonic() + PATIENCE_S
    while not found() and time.monotonic() < until_s:
        time.sleep(0.001)
    return bool(found())


def test_another_is_worn_as_soon_as_it_is_ready_and_not_before(
    wardrobe, shop, control, shown
) -> None:
    shop.hold("20")
    control.change(background="20")
    assert shown() == 10 and shop.begun.wait(PATIENCE_S)
    assert [shown() for _ in range(50)] == [10] * 50, "the line goes on while it loads"
    shop.let_go("20")
    assert until(lambda: shown() == 20)
    assert wardrobe.blends is True


def test_it_is_painted_and_closed_beside_the_line(wardrobe, shop, control, shown) -> None:
    control.change(background="21")
    assert until(lambda: shown() == 21)
    assert wardrobe.blends is False
    first, second = shop.sold
    assert second.painted_by == ["wardrobe"]
    assert until(lambda: first.closed_by) and first.closed_by == ["wardrobe"]
    assert not second.closed_by


@pytest.mark.parametrize(("spec", "told"), [("torn", "it is torn"), ("bug", "a bug")])
def test_the_last_good_one_stays_and_the_failure_is_told_once(
    wardrobe, shop, control, shown, caplog, spec, told
) -> None:
    control.change(background=spec)
    assert shown() == 10
    assert until(lambda: told in caplog.text)
    assert [shown() for _ in range(20)] == [10] * 20 and shop.asked == ["10", spec]
    assert len(caplog.records) == 1 and "stays" in caplog.text
    assert ("Traceback" in caplog.text) == (spec == "bug")
    control.change(background="30")
    shown()
    assert until(lambda: shown() == 30), "and the next one comes"


def test_of_many_choices_the_last_is_loaded_and_the_others_are_dropped(
    wardrobe, shop, control, shown
) -> None:
    shop.hold("20")
    for spec in ("20", "30", "40", "50"):
        control.change(background=spec)
        shown()
        assert shop.begun.wait(PATIENCE_S)
    shop.let_go("20")
    seen = {shown()}
    assert until(lambda: seen.add(shown()) or shown() == 50)
    assert seen <= {10, 50}, "what is no longer wanted is never shown"
    assert shop.asked == ["10", "20", "50"], "one at a time"
    assert until(lambda: shop.sold[1].closed_by)


def test_back_to_what_is_worn_needs_no_load(wardrobe, shop, control, shown) -> None:
    shop.hold("20")
    control.change(background="20")
    assert shown() == 10 and shop.begun.wait(PATIENCE_S)
    control.change(background="10")
    assert shown() == 10
    shop.let_go("20")
    assert until(lambda: shown() == 10 and len(shop.sold) == 2 and shop.sold[1].closed_by)
    assert shop.asked == ["10", "20"]


def test_a_first_one_that_cannot_be_had_is_an_error(shop) -> None:
    with pytest.raises(StreamError, match="torn"):
        Wardrobe(LiveControl(Settings("torn")), None, LIKE)


def test_closing_during_a_load_closes_that_too(shop, control) -> None:
    wardrobe = Wardrobe(control, None, LIKE)
    shop.hold("20")
    control.change(background="20")
    wardrobe.compose(LIKE, NOBODY)
    assert shop.begun.wait(PATIENCE_S)
    closing = threading.Thread(target=wardrobe.close)
    closing.start()
    shop.let_go("20")
    closing.join(PATIENCE_S)
    wardrobe.close()
    assert until(lambda: all(cloth.closed_by for cloth in shop.sold)) and len(shop.sold) == 2


def test_a_stand_in_gets_its_card(wardrobe) -> None:
    like = gray_frame((360, 640))
    plain = wardrobe.alone(like).planes[0]
    carded = wardrobe.alone(replace(like, stand_in="camera lost, waiting")).planes[0]
    assert np.all(plain == 10) and carded.max() > 200


def test_keys_go_through_real_files_and_leave_out_what_is_broken(tmp_path: Path, caplog) -> None:
    Image.new("RGB", (64, 48), (255, 255, 255)).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes()[:60])  # half copied
    Image.new("RGB", (64, 48), (0, 0, 0)).save(tmp_path / "10.png")
    control = LiveControl(Settings("blur"))
    wardrobe = Wardrobe(control, tmp_path, LIKE)

    def luma() -> int:
        return int(wardrobe.alone(LIKE).planes[0][0, 0])

    assert luma() == 128  # no room was seen yet
    wardrobe.step(1)
    assert until(lambda: luma() == 235)
    wardrobe.step(1)  # the broken one
    assert luma() == 235 and until(lambda: "2.png" in caplog.text)
    wardrobe.step(1)
    assert until(lambda: luma() == 16)
    wardrobe.step(-1)
    assert Path(control.settings.background).name == "1.png", "the broken one is left out"
    wardrobe.blur(1)
    assert control.settings.background == "blur"
    wardrobe.close()
