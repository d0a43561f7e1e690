"""Engines that run the exported network, one a file."""

from __future__ import annotations

from pathlib import Path

from stream import StreamError
from stream.interfaces import Backend
from stream.networks import EngineName, Precision, network_file

WIDE = (9.0, 16.0)  # the shape of most frames


class BackendUnavailable(StreamError):
    """An engine that this machine cannot run: why, and what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {remedy}")
        self.reason, self.remedy = reason, remedy


def open_backend(
    network: str | Path,
    area: int | None = None,
    *,
    engine: EngineName = "cpu",
    precision: Precision | None = None,
    shown_hw: tuple[float, float] = WIDE,
    batch: int = 1,
    threads: int = 0,
) -> Backend:
    """The engine that runs this network, on inputs of `area` pixels or, if None, of its own.

    `shown_hw` is the shape of the frames to come: a GPU is tried with it before it is trusted.
    `batch` is how many frames a GPU is to take at once, at most; `threads` is how many the
    processor takes, 0: as many as it has.
    Raises BackendUnavailable where a GPU was asked for and does not serve.
    """
    if engine != "cpu":
        from stream.backends.choice import open_on_gpu

        backend = open_on_gpu(str(network), area, engine, precision, shown_hw, batch)
        if backend is not None:
            return backend
    from stream.backends.ov import OpenVino

    return OpenVino(network_file(str(network), precision), area, threads)
