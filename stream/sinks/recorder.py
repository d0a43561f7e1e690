"""Recorder: what the call shows, as a file as well, at no cost to the call."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from stream import StreamError
from stream.frame import Frame
from stream.reasons import reason
from stream.sinks.clip import ClipWriter
from stream.sinks.codecs import codec_for
from stream.staging import beside, check_place

_QUEUE_S = Fraction(1, 2)
# What keeps up with a camera beside a call. No B-frames: with them and uneven times a hybrid MP4
# loses its last frame (FFmpeg 8.1), and what the encoder holds back would be lost on kill -9.
_FAST = {
    "h264": {"preset": "veryfast", "bf": "0"},
    "vp9": {"deadline": "realtime", "cpu-used": "8"},
}
# What is on the disk can be played at any time, also after kill -9: MP4 in pieces of half a
# second, which become an ordinary MP4 at the end (without delay_moov the first piece is lost).
_SAFE = {
    ".mp4": {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "500000"},
    ".mkv": {"cluster_time_limit": "500"},
}
_SAFE |= {".m4v": _SAFE[".mp4"], ".mov": _SAFE[".mp4"], ".webm": _SAFE[".mkv"]}


class Recorder:
    """Encodes frames on a thread of its own, each at its own time; picture only.

    Where the encoder falls half a second behind, frames are dropped and counted. An error ends the
    recording alone: `failed` says why, and what is done stays playable as NAME.partial.EXT, the
    name that the file has while it is written.
    """

    def __init__(self, path: Path, like: Frame, *, rate: Fraction, force: bool = False) -> None:
        """Raises StreamError where the file cannot be written, or exists and `force` is not set."""
        if path.suffix.lower() not in _SAFE:
            raise StreamError(f"cannot record to {path}: end the name with {', '.join(_SAFE)}")
        codec = codec_for(path, None, with_alpha=False)
        check_place(path, force, is_folder=False)
        self.name = f"{path} (picture only)"
        self.notes = [f"{path}: picture only, no sound"]
        self.dropped = 0
        self._path, self._place = path, beside(path, "partial")
        self._writer = ClipWriter(
            self._place,
            like,
            replace(codec, options=codec.options | _FAST.get(codec.canonical, {})),
            shown=self._place,
            rate=rate,
            container_options=_SAFE[path.suffix.lower()] | {"flush_packets": "1"},
        )
        self._error: BaseException | None = None
        self._first_pts: int | None = None
        self._last_pts, self._ticks_per_s = -1, round(1 / like.time_base)
        self._queue: queue.Queue[Frame | None] = queue.Queue(max(2, round(rate * _QUEUE_S)))
        self._open = True
        self._thread = threading.Thread(target=self._encode, name="recorder", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> str | None:
        """Why the recording ended before it was closed; None while it is well."""
        return None if self._error is None else str(self._error)

    @property
    def state(self) -> str:
        """What a status line tells: how long it is, or that it failed."""
        if self._error is not None:
            return "recording failed"
        minutes, seconds = divmod(max(0, self._last_pts) // self._ticks_per_s, 60)
        left_out = f", {self.dropped} frames left out" if self.dropped else ""
        return f"recording {minutes}:{seconds:02}{left_out}"

    def write(self, frame: Frame) -> None:
        """Queue one frame, or drop it. Raises StreamError once the recording has failed."""
        if self._error is not None:
            raise self._error
        try:
            self._queue.put_nowait(frame)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what is queued and give the file its name; safe to call twice.

        A failure of the recording is among `notes` then.
        """
        if not self._open:
            return
        self._open = False
        self._queue.put(None)
        self._thread.join()
        if self._error is None:
            self._settle()
        if self.dropped:
            self.notes.append(f"{self._path}: {self.dropped} frames left out, no time to encode")
        if isinstance(self._error, StreamError):
            self.notes.append(str(self._error))
        elif self._error is not None:  # a bug
            raise self._error

    def _settle(self) -> None:
        """Give the whole file its name; without a frame there is none."""
        try:
            if self._first_pts is None:
                self._place.unlink()
                self.notes.append(f"{self._path}: no frame came, nothing is recorded")
            else:
                self._place.replace(self._path)
        except OSError as error:
            self._error = StreamError(f"cannot name {self._place} {self._path}: {reason(error)}")

    def _encode(self) -> None:
        """Takes all up to the None of close(), which would wait for room for ever otherwise."""
        for frame in iter(self._queue.get, None):
            self._attempt(self._write, frame)
        self._attempt(self._writer.close)

    def _attempt(self, step: Callable[..., None], *values: Frame) -> None:
        """One more step of a recording that is well."""
        if self._error is not None:
            return
        try:
            step(*values)
        except StreamError as error:
            self._error = StreamError(f"{error}; what was recorded is in {self._place}")
        except BaseException as error:  # a bug, raised to whoever closes
            self._error = error

    def _write(self, frame: Frame) -> None:
        """Encode a frame, unless it is no later than the one before, which no file can hold."""
        if self._first_pts is None:
            self._first_pts = frame.pts
        pts = frame.pts - self._first_pts
        if pts <= self._last_pts:
            self.dropped += 1
            return
        self._last_pts = pts
        self._writer.write(replace(frame, pts=pts))
