"""Engines that run the exported network, one a file."""

from __future__ import annotations

from pathlib import Path

from stream.interfaces import Backend


def open_backend(network: Path, area: int | None = None) -> Backend:
    """The engine that runs this network, on inputs of `area` pixels or, if None, of its own."""
    from stream.backends.ov import OpenVino

    return OpenVino(network, area)
