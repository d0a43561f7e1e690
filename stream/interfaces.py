"""The four sockets: what a source, a backend, a background and a sink must offer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stream.frame import Alpha, Frame


class Source(Protocol):
    """Frames in presentation order until it ends. Owned by whoever opened it."""

    is_live: bool

    def __iter__(self) -> Iterator[Frame]:
        """The frames, once."""
        ...

    def close(self) -> None:
        """Free the device or file; safe to call twice."""
        ...


class Backend(Protocol):
    """Runs one exported network on one device."""

    @property
    def name(self) -> str:
        """Engine, version, network, precision and device, for reports."""
        ...

    def fit(self, display_hw: tuple[float, float]) -> tuple[int, int]:
        """The input size (H, W) that suits frames shown at this size, made ready to run."""
        ...

    def infer(
        self, image: NDArray[np.float32], previous: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(N, H, W, 3) RGB 0-255 → (N, H, W, 1) alpha 0-1, valid until the next call.

        Each is computed as if it were alone. `previous` is the alpha of the frame before each,
        zeros where there is none.
        """
        ...

    def close(self) -> None:
        """Free the engine; safe to call twice."""
        ...


@runtime_checkable
class Batching(Backend, Protocol):
    """A backend that takes several frames in less time than one by one."""

    @property
    def batch(self) -> int:
        """How many at once, at most."""
        ...


class Background(Protocol):
    """What a frame and its matte become. Blur needs the matte too: the person must not smear."""

    @property
    def blends(self) -> bool:
        """True: give it frames whose edges are clean; False: it shows them as they came."""
        ...

    def compose(self, frame: Frame, alpha: Alpha) -> Frame:
        """The composite of a frame and its own matte of the same size."""
        ...

    def alone(self, frame: Frame) -> Frame:
        """What is shown where no matte can be trusted: nothing of the frame but its format."""
        ...

    def close(self) -> None:
        """Free what it holds; safe to call twice."""
        ...


class Sink(Protocol):
    """Takes the composites, in order."""

    def write(self, frame: Frame) -> None:
        """Take one frame."""
        ...

    def close(self) -> None:
        """Finish what was begun; safe to call twice."""
        ...
