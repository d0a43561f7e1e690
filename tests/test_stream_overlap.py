"""Overlap: threads that read ahead and write behind lose nothing, mix nothing, hide no error."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from stream.frame import Frame
from stream.overlap import ReadAhead, WriteBehind

PATIENCE_S = 30  # a broken test ends instead of hanging; no working one waits for it
DEPTHS = [1, 3, 8]


class Numbers:
    """A source of numbered frames; it may fail in the middle."""

    is_live = False

    def __init__(self, make_frame, count: int, fails_at: int | None = None) -> None:
        self._make_frame, self._count, self._fails_at = make_frame, count, fails_at
        self.produced = self.closed = 0

    def __iter__(self) -> Iterator[Frame]:
        """The frames, once."""
        for number in range(self._count):
            if number == self._fails_at:
                raise OSError("the cable came off")
            self.produced += 1
            yield self._make_frame("gray", (2, 2), fill=(number % 256,), pts=number)

    def close(self) -> None:
        """Counts."""
        self.closed += 1


class Records:
    """A sink that remembers; it may wait for a signal, and may fail."""

    def __init__(self, fails_at: int | None = None, fails_to_close: bool = False) -> None:
        self.written: list[int] = []
        self.closed = 0
        self.may_write = threading.Event()
        self.may_write.set()
        self._fails_at, self._fails_to_close = fails_at, fails_to_close

    def write(self, frame: Frame) -> None:
        """Remember one frame."""
        assert self.may_write.wait(PATIENCE_S)
        if len(self.written) == self._fails_at:
            raise OSError("the disk is full")
        self.written.append(frame.pts)

    def close(self) -> None:
        """Counts."""
        self.closed += 1
        if self._fails_to_close:
            raise OSError("cannot finish the file")


def threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert not threads("read ahead") and not threads("write behind")


# Reading ahead


@pytest.mark.parametrize("count", [0, 1, 2, 100])
@pytest.mark.parametrize("depth", DEPTHS)
def test_every_frame_is_read_in_order(make_frame, depth, count) -> None:
    source = Numbers(make_frame, count)
    ahead = ReadAhead(source, depth)
    assert [frame.pts for frame in ahead] == list(range(count))
    ahead.close()
    assert source.closed == 1


@pytest.mark.parametrize("fails_at", [0, 1, 50])
@pytest.mark.parametrize("depth", DEPTHS)
def test_the_sources_error_comes_after_its_frames(make_frame, depth, fails_at) -> None:
    ahead, seen = ReadAhead(Numbers(make_frame, 100, fails_at), depth), []
    with pytest.raises(OSError, match="the cable came off"):
        for frame in ahead:
            seen.append(frame.pts)
    ahead.close()
    assert seen == list(range(fails_at))


@pytest.mark.parametrize("depth", DEPTHS)
def test_never_more_than_the_depth_is_read_ahead(make_frame, depth) -> None:
    source = Numbers(make_frame, 200)
    ahead = ReadAhead(source, depth)
    for done, _ in enumerate(ahead):
        # In the queue, in the reader's hand, and the one that the consumer has.
        assert source.produced - done <= depth + 2
    ahead.close()
    assert source.produced == 200


@pytest.mark.parametrize("taken", [1, 5])
@pytest.mark.parametrize("depth", DEPTHS)
def test_closing_early_ends_the_thread_and_the_source(make_frame, depth, taken) -> None:
    source = Numbers(make_frame, 10_000)
    ahead = ReadAhead(source, depth)
    for _ in zip(range(taken), ahead, strict=False):
        pass
    ahead.close()
    assert not threads("read ahead") and source.closed >= 1
    assert source.produced <= taken + depth + 2


def test_close_before_the_first_frame_and_twice_is_fine(make_frame) -> None:
    source = Numbers(make_frame, 10)
    ahead = ReadAhead(source, 2)
    ahead.close()
    ahead.close()
    assert source.produced == 0 and source.closed >= 1


def test_close_after_the_end_twice_is_fine(make_frame) -> None:
    ahead = ReadAhead(Numbers(make_frame, 3), 2)
    assert len(list(ahead)) == 3
    ahead.close()
    ahead.close()


def test_live_stays_live(make_frame) -> None:
    source = Numbers(make_frame, 0)
    assert ReadAhead(source, 1).is_live is False
    source.is_live = True
    assert ReadAhead(source, 1).is_live is True


# Writing behind


@pytest.mark.parametrize("count", [0, 1, 2, 100])
@pytest.mark.parametrize("depth", DEPTHS)
def test_every_frame_is_written_in_order_before_close_returns(make_frame, depth, count) -> None:
    sink = Records()
    behind = WriteBehind(sink, depth)
    for frame in Numbers(make_frame, count):
        behind.write(frame)
    behind.close()
    assert sink.written == list(range(count)) and sink.closed == 1


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_slow_sink_holds_no_more_than_the_depth(make_frame, depth) -> None:
    sink = Records()
    sink.may_write.clear()
    behind, offered = WriteBehind(sink, depth), []

    def offer() -> None:
        for frame in Numbers(make_frame, depth + 5):
            behind.write(frame)
            offered.append(frame.pts)

    writer = threading.Thread(target=offer)
    writer.start()
    writer.join(0.5)  # gives a writer that is not held back time to show it
    assert writer.is_alive() and len(offered) <= depth + 1
    sink.may_write.set()
    writer.join(PATIENCE_S)
    behind.close()
    assert sink.written == list(range(depth + 5))


@pytest.mark.parametrize("fails_at", [0, 3])
@pytest.mark.parametrize("depth", DEPTHS)
def test_the_sinks_error_comes_out_of_write_or_close(make_frame, depth, fails_at) -> None:
    sink = Records(fails_at)
    behind = WriteBehind(sink, depth)

    def write_all() -> None:
        try:
            for frame in Numbers(make_frame, 50):
                behind.write(frame)
        finally:
            behind.close()

    with pytest.raises(OSError, match="the disk is full"):
        write_all()
    assert sink.written == list(range(fails_at)) and sink.closed >= 1


def test_an_error_on_the_last_frame_comes_out_of_close(make_frame) -> None:
    sink = Records(fails_at=0)
    sink.may_write.clear()
    behind = WriteBehind(sink, 3)
    behind.write(next(iter(Numbers(make_frame, 1))))  # returns before the sink has failed
    sink.may_write.set()
    with pytest.raises(OSError, match="the disk is full"):
        behind.close()
    assert sink.closed == 1


def test_the_first_error_is_the_one_that_is_told(make_frame) -> None:
    sink = Records(fails_at=0, fails_to_close=True)
    sink.may_write.clear()
    behind = WriteBehind(sink, 3)
    behind.write(next(iter(Numbers(make_frame, 1))))
    sink.may_write.set()
    with pytest.raises(OSError, match="the disk is full"):
        behind.close()


def test_nothing_is_lost_unsaid_after_an_error(make_frame) -> None:
    behind = WriteBehind(Records(fails_at=0), 1)
    frames = iter(Numbers(make_frame, 100))
    with pytest.raises(OSError, match="the disk is full"):
        for frame in frames:
            behind.write(frame)
    with pytest.raises(OSError, match="the disk is full"):
        behind.write(next(frames))
    with suppress(OSError):  # said twice already
        behind.close()


def test_a_sink_that_cannot_be_finished_says_so(make_frame) -> None:
    behind = WriteBehind(Records(fails_to_close=True), 2)
    behind.write(next(iter(Numbers(make_frame, 1))))
    with pytest.raises(OSError, match="cannot finish the file"):
        behind.close()


@pytest.mark.parametrize("count", [0, 5])
def test_closing_a_writer_twice_is_fine(make_frame, count) -> None:
    sink = Records()
    behind = WriteBehind(sink, 2)
    for frame in Numbers(make_frame, count):
        behind.write(frame)
    behind.close()
    behind.close()
    assert sink.written == list(range(count))
