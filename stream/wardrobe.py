"""Wardrobe: the backgrounds of a live run, changed while it runs."""

from __future__ import annotations

import logging
import mimetypes
import threading
from pathlib import Path

from stream import StreamError
from stream.backgrounds import open_background, stepped_blur
from stream.card import carded
from stream.control import LiveControl
from stream.frame import Alpha, Frame
from stream.interfaces import Background

log = logging.getLogger(__name__)


class Wardrobe:
    """A background that is whatever the control's settings say.

    Another one is opened and painted on a thread made for that, so that a large picture or a slow
    disk never holds up the line; the one before is shown until it is ready, and stays where it
    cannot be read. Stand-ins get a card that tells their text.
    """

    def __init__(self, control: LiveControl, folder: Path | None, like: Frame) -> None:
        """Opens the first one. Raises StreamError where that cannot be read."""
        self._control, self._folder, self._like = control, folder, like
        self._first = self._spec = self._wanted = control.settings.background
        self._shown = self._painted(self._first)
        self._ready: tuple[str, Background] | None = None
        self._lock = threading.Lock()

    @property
    def blends(self) -> bool:
        """As the background that is shown."""
        return self._shown.blends

    def compose(self, frame: Frame, alpha: Alpha) -> Frame:
        """The composite with the background that is chosen."""
        return self._current().compose(frame, alpha)

    def alone(self, frame: Frame) -> Frame:
        """That background alone, with what the stand-in tells."""
        return carded(self._current().alone(frame), frame.stand_in or "")

    def close(self) -> None:
        """Close what is open; what still loads is closed when it is ready."""
        with self._lock:
            self._wanted = ""
            if self._ready is not None:
                self._ready[1].close()
                self._ready = None
        self._shown.close()

    def step(self, by: int) -> None:
        """Choose the next background (1) or the one before (-1): the first one, blur, and the
        pictures and clips that lie in the folder now."""
        cycle = [self._first, *([] if self._first.startswith("blur") else ["blur"]), *self._files()]
        at = cycle.index(self._wanted) if self._wanted in cycle else 0
        self._control.change(background=cycle[(at + by) % len(cycle)])

    def blur(self, by: int) -> None:
        """Blur more (1) or less (-1); from another background, blur."""
        self._control.change(background=stepped_blur(self._wanted, by))

    def _files(self) -> list[str]:
        if self._folder is None:
            return []
        try:
            inside = sorted(path for path in self._folder.iterdir() if path.is_file())
        except OSError as error:
            log.warning("cannot read the folder %s: %s", self._folder, error.strerror)
            return []
        return [str(path) for path in inside if _kind(path) in ("image", "video")]

    def _current(self) -> Background:
        """The background to show, changed if another one is ready; asks for it if it is new."""
        wanted = self._control.settings.background
        with self._lock:
            is_new, self._wanted = wanted != self._wanted, wanted
            before = self._shown
            if self._ready is not None:
                (self._spec, self._shown), self._ready = self._ready, None
        if before is not self._shown:
            before.close()
        if is_new:
            threading.Thread(
                target=self._load, args=(wanted,), name=f"load {wanted}", daemon=True
            ).start()
        return self._shown

    def _load(self, spec: str) -> None:
        """The thread: open one, paint it, leave it for the line, if it is still wanted."""
        try:
            loaded = self._painted(spec)
        except StreamError as error:
            log.warning("%s; the background stays", error)
            return
        with self._lock:
            if spec != self._wanted:
                superseded: Background | None = loaded
            else:
                superseded = self._ready[1] if self._ready else None
                self._ready = (spec, loaded)
        if superseded is not None:
            superseded.close()

    def _painted(self, spec: str) -> Background:
        background = open_background(spec)
        background.alone(self._like)
        return background


def _kind(path: Path) -> str:
    return (mimetypes.guess_type(path)[0] or "").split("/")[0]
