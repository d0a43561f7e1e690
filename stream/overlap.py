"""Decoding, segmenting and encoding on threads of their own, so that they overlap."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from stream.frame import Frame
from stream.interfaces import Sink

_Item = TypeVar("_Item")
_Read = TypeVar("_Read", covariant=True)

_POLL_S = 0.2  # how long Ctrl-C or an error on the other side may go unnoticed


class _Readable(Protocol[_Read]):
    """A source of frames, or of whatever else comes one by one."""

    @property
    def is_live(self) -> bool: ...

    def __iter__(self) -> Iterator[_Read]: ...

    def close(self) -> None: ...


class ReadAhead(Generic[_Item]):
    """A source whose frames are read by a thread, at most `depth` ahead."""

    def __init__(self, source: _Readable[_Item], depth: int) -> None:
        self.is_live = source.is_live
        self._source = source
        self._queue: queue.Queue[_Item | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read, name="read ahead", daemon=True)

    def __iter__(self) -> Iterator[_Item]:
        """The frames, once; an error of the source is raised here."""
        self._thread.start()
        while (frame := _take(self._queue)) is not None:
            yield frame
        if self._error is not None:
            raise self._error

    def ready(self) -> _Item | None:
        """The next frame, once iterating has begun; None where it is not read yet or all ended.

        An error of the source is raised here.
        """
        with suppress(queue.Empty):
            frame = self._queue.get_nowait()
            if frame is None and self._error is not None:
                raise self._error
            return frame
        return None

    def close(self) -> None:
        """Stop reading and close the source; safe to call twice."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._source.close()

    def _read(self) -> None:
        try:
            for frame in self._source:
                if not self._put(frame):
                    return
        except BaseException as error:
            self._error = error
        self._put(None)

    def _put(self, frame: _Item | None) -> bool:
        return _offer(self._queue, frame, self._closing)


class WriteBehind:
    """A sink that is written by a thread, at most `depth` frames behind."""

    def __init__(self, sink: Sink, depth: int) -> None:
        self._sink = sink
        self._queue: queue.Queue[Frame | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._failed = threading.Event()
        self._told = False
        self._thread = threading.Thread(target=self._write, name="write behind", daemon=True)
        self._thread.start()

    def write(self, frame: Frame) -> None:
        """Queue one frame; an error of the sink is raised here or at close."""
        if not _offer(self._queue, frame, self._failed):
            self._raise()

    def close(self) -> None:
        """Write what is queued and close the sink; safe to call twice."""
        if self._thread.is_alive():
            _offer(self._queue, None, self._failed)
            self._thread.join()
        try:
            self._sink.close()
        finally:  # of two errors the first is the one that tells
            if not self._told:
                self._raise()

    def _raise(self) -> None:
        self._told = True
        if self._error is not None:
            raise self._error

    def _write(self) -> None:
        try:
            while (frame := _take(self._queue)) is not None:
                self._sink.write(frame)
        except BaseException as error:
            self._error = error
            self._failed.set()


def _take(frames: queue.Queue[_Item | None]) -> _Item | None:
    # A wait without a time limit cannot be interrupted on Windows.
    while True:
        try:
            return frames.get(timeout=_POLL_S)
        except queue.Empty:
            continue


def _offer(frames: queue.Queue[_Item | None], item: _Item | None, stop: threading.Event) -> bool:
    """Put an item, waiting for room; False if told to stop first."""
    while not stop.is_set():
        try:
            frames.put(item, timeout=_POLL_S)
        except queue.Full:
            continue
        return True
    return False
