"""Several lines, one engine: what they ask for at the same time is run as one batch."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.interfaces import Backend, Batching


@dataclass(eq=False)
class _Ask:
    """What one line wants to know: (1, H, W, C), as for Backend.infer()."""

    shown_hw: tuple[float, float]
    image: NDArray[np.float32]
    previous: NDArray[np.float32]
    alpha: NDArray[np.float32] | None = None
    error: Exception | None = None

    @property
    def is_answered(self) -> bool:
        return self.alpha is not None or self.error is not None


class Together:
    """Shares an engine among lines, each on a thread of its own; does not own the engine.

    An engine for batches runs when every line has asked: one frame of each. Any other runs for
    each line as soon as it asks. Inputs of different sizes are batches of their own: a common size
    would let a clip's matte depend on the clips beside it.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._changed = threading.Condition()
        self._seats: set[Seat] = set()
        self._asked: list[_Ask] = []
        self._stopped = False

    @property
    def name(self) -> str:
        """The engine's."""
        return self._backend.name

    def seat(self, shown_hw: tuple[float, float]) -> Seat:
        """The engine for one more line; the others wait for its frames until it is closed."""
        seat = Seat(self)
        with self._changed:
            self._seats.add(seat)
        return seat

    def leave(self, seat: Seat) -> None:
        """Wait for this line no more."""
        with self._changed:
            self._seats.discard(seat)
            self._run_if_due()

    def stop(self) -> None:
        """End every line that waits, or asks from now on, as Ctrl-C would."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def fit(self, shown_hw: tuple[float, float]) -> tuple[int, int]:
        """As Backend.fit()."""
        with self._changed:
            return self._backend.fit(shown_hw)

    def answer(self, ask: _Ask) -> NDArray[np.float32]:
        """Wait for the batch that has this in it. Raises what the engine raises."""
        with self._changed:
            if not self._stopped:
                self._asked.append(ask)
                self._run_if_due()
            self._changed.wait_for(lambda: ask.is_answered or self._stopped)
        if ask.error is not None:
            raise ask.error
        if ask.alpha is None:
            raise KeyboardInterrupt
        return ask.alpha

    def _run_if_due(self) -> None:
        most = self._backend.batch if isinstance(self._backend, Batching) else 1
        if not self._asked or len(self._asked) < min(most, len(self._seats)):
            return
        sizes: dict[tuple[int, ...], list[_Ask]] = {}
        for ask in self._asked:
            sizes.setdefault(ask.image.shape, []).append(ask)
        self._asked = []
        for asks in sizes.values():
            self._run(asks)
        self._changed.notify_all()

    def _run(self, asks: list[_Ask]) -> None:
        try:
            # Of many sizes an engine may have let this one go; and it may be another one by now.
            self._backend.fit(asks[0].shown_hw)
            alphas = self._backend.infer(
                np.concatenate([ask.image for ask in asks]),
                np.concatenate([ask.previous for ask in asks]),
            ).copy()
        except Exception as error:  # theirs, and not of the line that happened to ask last
            for ask in asks:
                ask.error = error
            return
        for row, ask in enumerate(asks):
            ask.alpha = alphas[row : row + 1]


class Seat:
    """One line's place at an engine that it shares: a Backend."""

    def __init__(self, together: Together) -> None:
        self._together = together
        self._shown_hw = (0.0, 0.0)

    @property
    def name(self) -> str:
        """The engine's."""
        return self._together.name

    def fit(self, display_hw: tuple[float, float]) -> tuple[int, int]:
        """The input size for frames shown at this size, compiled and ready."""
        self._shown_hw = display_hw
        return self._together.fit(display_hw)

    def infer(
        self, image: NDArray[np.float32], previous: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(1, H, W, 3) RGB 0-255 → (1, H, W, 1) alpha 0-1; its own."""
        return self._together.answer(_Ask(self._shown_hw, image, previous))

    def close(self) -> None:
        """Leave the engine to the others; safe to call twice."""
        self._together.leave(self)
