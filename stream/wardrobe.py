"""Wardrobe: the backgrounds of a live run, changed while it runs."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from stream import StreamError
from stream.backgrounds import open_background
from stream.card import carded
from stream.choices import Choices
from stream.control import LiveControl
from stream.frame import Alpha, Frame
from stream.interfaces import Background

log = logging.getLogger(__name__)

_CLIP_AHEAD = 6  # frames; opening a clip again at its end takes about 0.2 s on a busy machine
_PATIENCE_S = 2.0  # how long the end waits for a load: a server may be silent for longer


class Wardrobe:
    """A background that is whatever the control's settings say.

    Another one is opened and painted on a thread made for that, so that a large picture or a slow
    disk never holds up the line; the one before is shown until it is ready, and stays where it
    cannot be read. That thread closes what was taken off, too. Stand-ins get a card that tells
    their text.
    """

    def __init__(self, control: LiveControl, folder: Path | None, like: Frame) -> None:
        """Opens the first one. Raises StreamError where that cannot be read."""
        self._control, self._like = control, like
        self._shown = self._wanted = control.settings.background
        self._choices = Choices(self._shown, folder)
        self._worn = self._opened(self._shown)
        self._ready: queue.SimpleQueue[tuple[str, Background]] = queue.SimpleQueue()
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="wardrobe", daemon=True)
        self._thread.start()

    @property
    def shown(self) -> str:
        """The background that is shown, by the name it was chosen by."""
        return self._shown

    @property
    def worn(self) -> Background:
        """What the next frame is composed with."""
        self._change()
        return self._worn

    @property
    def blends(self) -> bool:
        """As the background that is shown."""
        return self._worn.blends

    def compose(self, frame: Frame, alpha: Alpha) -> Frame:
        """The composite with the background that is chosen."""
        self._change()
        return self._worn.compose(frame, alpha)

    def alone(self, frame: Frame) -> Frame:
        """That background alone, with what the stand-in tells."""
        self._change()
        return carded(self._worn.alone(frame), frame.stand_in or "")

    def close(self) -> None:
        """Close what is open; what still loads is closed when it is ready. Twice is fine."""
        self._closing.set()
        self._tasks.put(None)
        self._thread.join(_PATIENCE_S)
        self._worn.close()

    def step(self, by: int) -> None:
        """Choose the next background (1) or the one before (-1)."""
        chosen = self._choices.beside(self._control.settings.background, by)
        self._control.change(background=chosen)

    def blur(self, by: int) -> None:
        """Blur more (1) or less (-1); from another background, blur."""
        chosen = self._choices.blurred(self._control.settings.background, by)
        self._control.change(background=chosen)

    def _change(self) -> None:
        """Ask for what is newly wanted, and put on what is ready; on the line's own thread, so that
        nothing is closed while it is used."""
        wanted = self._control.settings.background
        if wanted != self._wanted:
            self._wanted = wanted
            if wanted != self._shown:
                self._tasks.put(partial(self._load, wanted))
        while not self._ready.empty():
            spec, background = self._ready.get()
            retired = background
            if spec == wanted:
                self._shown, self._worn, retired = spec, background, self._worn
            self._tasks.put(retired.close)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
        while not self._ready.empty():
            self._ready.get()[1].close()

    def _load(self, spec: str) -> None:
        if spec != self._wanted or self._closing.is_set():  # another was chosen meanwhile
            return
        try:
            self._ready.put((spec, self._opened(spec)))
        except Exception as error:  # whatever a strange file does, the call goes on
            is_bug = not isinstance(error, StreamError)
            log.warning("%s; the background stays", error, exc_info=is_bug)
            self._choices.leave_out(spec)

    def _opened(self, spec: str) -> Background:
        background = open_background(spec, _CLIP_AHEAD)
        try:
            background.alone(self._like)  # painted and scaled here, not on the line
        except BaseException:
            background.close()
            raise
        return background
