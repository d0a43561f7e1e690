"""Live: a camera that may be lost and found, paused and watched by nobody; frames never cease."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

import cv2

from stream import StreamError
from stream.control import LiveControl
from stream.cover import fitted
from stream.frame import Frame
from stream.interfaces import Source
from stream.latest import Latest

log = logging.getLogger(__name__)

WAITING = "camera lost, waiting"
PAUSED = "be right back"

_PATIENCE_S = 0.07  # silence after which the last frame is shown again; webcams in the dark give 15
_FREEZE_S = 0.5  # silence after which the picture is too old to be shown
_START_S = 3.0  # how long a camera may take to begin before a card says that it is awaited
_RETRY_S = 0.5


class LiveCamera(Source, Protocol):
    """A source that may be lost: it raises then, or ends."""

    broken: int  # pictures that could not be used


OpenCamera = Callable[[], LiveCamera | None]  # None while it is away


class Live:
    """Frames at the camera's rate, come what may; it ends when the control says so.

    A thread captures; the newest frame wins. While the camera is silent for less than half a
    second its last frame is given again, after that a stand-in, for which no matte is trusted.
    While nobody watches, the camera is closed and the line waits. `camera` is open and closed by
    this; `reopen` finds it again, and `on_rest` is called when the line waits. All frames have the
    size and format of `like`, a gray one.
    """

    is_live = True

    def __init__(
        self,
        camera: LiveCamera,
        reopen: OpenCamera,
        like: Frame,
        fps: float,
        control: LiveControl,
    ) -> None:
        self.losses = self.broken = 0  # how often the camera was lost; pictures of no use
        self.trouble = ""  # what is wrong with the camera now
        self.on_rest: Callable[[], None] = lambda: None
        self._reopen, self._control = reopen, control
        self._mirror = control.settings.mirror
        self._like, self._interval_s = like, 1 / fps
        self._latest = Latest()
        self._began_ns = time.monotonic_ns()
        self._pts = -1
        self._last: Frame | None = None  # of the camera, while it may be given again
        self._due_s = self._start_until_s = 0.0  # when to yield something, and to say what lacks
        self._expect_start()
        self._closing = threading.Event()
        self._told = ""  # the last reason that was told
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._capture, args=(camera,), name="capture", daemon=True
        )
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Frames of the camera that came faster than the line could take them."""
        return self._latest.dropped

    def __iter__(self) -> Iterator[Frame]:
        """Frames and stand-ins until the control has ended it; what broke capturing is raised."""
        self._expect_start()
        self._latest.dropped = 0
        while not (settings := self._control.settings).ended:
            if self._error is not None:
                raise self._error
            if not settings.watched:
                yield self._stand_in("")  # so that no old picture waits for the next reader
                self.on_rest()
                self._control.wait_until(lambda now: now.watched or now.ended)
                self._expect_start()
            elif settings.paused:
                yield self._paused()
            else:
                yield self._next(settings.mirror)

    def close(self) -> None:
        """Stop capturing; safe to call twice. A camera that hangs is left to itself."""
        self._closing.set()
        self._control.change()
        self._thread.join(timeout=2)

    def _expect_start(self) -> None:
        """Yield something at once, and give the camera its time to begin."""
        self._latest.clear()
        self._last, self.trouble = None, ""
        self._due_s = time.monotonic()
        self._start_until_s = self._due_s + _START_S

    def _paused(self) -> Frame:
        self._closing.wait(max(0.0, self._due_s - time.monotonic()))
        self._expect_start()  # for when it ends
        self._due_s += self._interval_s
        return self._stand_in(PAUSED)

    def _next(self, mirror: bool) -> Frame:
        """The camera's next frame or, when one is due and none is there, what stands for it."""
        if mirror != self._mirror:  # the matte of the frame before does not fit the next one
            self._mirror, self._last = mirror, None
            return self._stand_in("")
        frame = self._latest.get(max(0.0, self._due_s - time.monotonic()))
        now_s = time.monotonic()
        if frame is not None:
            if frame.size_hw != self._like.size_hw:  # the camera came back with another
                frame = frame.with_planes(fitted(frame, self._like))
            self._last = mirrored(frame) if mirror else frame
            self._due_s = now_s + _PATIENCE_S
            return self._stamped(self._last, frame.captured_ns)
        self._due_s = max(self._due_s + self._interval_s, now_s)
        if self._last is not None and not self.trouble:
            if now_s - self._last.captured_ns / 1e9 < _FREEZE_S:
                return replace(self._stamped(self._last, time.monotonic_ns()), repeats=True)
            self.trouble = WAITING
        self._last = None
        late = WAITING if now_s > self._start_until_s else ""
        return self._stand_in(self.trouble or late)

    def _stand_in(self, text: str) -> Frame:
        now_ns = time.monotonic_ns()
        return self._stamped(replace(self._like, captured_ns=now_ns, stand_in=text), now_ns)

    def _stamped(self, frame: Frame, moment_ns: int) -> Frame:
        """The frame at its time since the start, which never goes back."""
        self._pts = max(self._pts + 1, (moment_ns - self._began_ns) // 1000)
        return replace(frame, pts=self._pts, time_base=self._like.time_base)

    def _capture(self, camera: LiveCamera | None) -> None:
        """The thread: deliver, find again, or rest."""
        try:
            while not self._closing.is_set():
                if not self._control.settings.wants_camera:
                    self._let_go(camera)
                    camera = None
                    self._control.wait_until(lambda now: now.wants_camera or self._closing.is_set())
                elif camera is None:
                    camera = self._found()
                else:
                    self._deliver(camera)
                    self._let_go(camera)
                    camera = None
            self._let_go(camera)
        except BaseException as error:
            self._error = error

    def _found(self) -> LiveCamera | None:
        try:
            camera = self._reopen()
        except Exception as error:  # drivers and libraries fail as they like
            camera = None
            self._tell(error)
        if camera is None:
            self.trouble = WAITING
            self._closing.wait(_RETRY_S)
        return camera

    def _deliver(self, camera: LiveCamera) -> None:
        """Pass frames on until the camera is lost, or wanted no more."""
        try:
            for frame in camera:
                if self._closing.is_set() or not self._control.settings.wants_camera:
                    return
                self._latest.put(frame)
                self.trouble = self._told = ""
            raise StreamError("the camera gives no more pictures")
        except Exception as error:
            self.losses += 1
            self._tell(error)
            self._closing.wait(_RETRY_S)

    def _tell(self, error: Exception) -> None:
        """Why there is no picture, once."""
        self.trouble = WAITING
        reason = str(error)
        if reason != self._told:
            is_bug = not isinstance(error, StreamError)
            log.warning("%s; waiting for the camera", reason, exc_info=is_bug)
        self._told = reason

    def _let_go(self, camera: LiveCamera | None) -> None:
        if camera is not None:
            self.broken += camera.broken
            camera.close()


def mirrored(frame: Frame) -> Frame:
    """The frame as a mirror shows it."""
    return frame.with_planes(tuple(cv2.flip(plane, 1) for plane in frame.planes))
