"""Latest: a mailbox for one frame, in which the newest wins."""

from __future__ import annotations

import threading

from stream.frame import Frame


class Latest:
    """Between the thread that captures and the one that does all else; counts what it drops."""

    def __init__(self) -> None:
        self.dropped = 0
        self._frame: Frame | None = None
        self._changed = threading.Condition()

    def put(self, frame: Frame) -> None:
        """Leave a frame, in place of one that nobody took."""
        with self._changed:
            self.dropped += self._frame is not None
            self._frame = frame
            self._changed.notify()

    def get(self, timeout_s: float) -> Frame | None:
        """Take the frame, waiting so long for one at most; None if none came."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None, timeout_s)
            frame, self._frame = self._frame, None
            return frame

    def clear(self) -> None:
        """Throw away what nobody took; it is not counted."""
        with self._changed:
            self._frame = None
