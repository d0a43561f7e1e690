"""Deinterlacer: whole pictures from pictures of two half-pictures, one for one."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av


class Deinterlacer:
    """FFmpeg's bwdif; what is not marked as interlaced passes unchanged."""

    def __init__(self, like: av.VideoFrame, tick: Fraction) -> None:
        self._tick = tick
        self._takes = (like.width, like.height, like.format.name)
        self._graph = av.filter.Graph()
        source = self._graph.add_buffer(
            width=like.width, height=like.height, format=like.format, time_base=tick
        )
        bwdif = self._graph.add("bwdif", "mode=send_frame:deint=interlaced")
        self._graph.link_nodes(source, bwdif, self._graph.add("buffersink")).configure()

    def takes(self, picture: av.VideoFrame) -> bool:
        """False for a picture of another size or format."""
        return (picture.width, picture.height, picture.format.name) == self._takes

    def push(self, picture: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """Take a picture, None at the end; give those that are ready, one picture behind."""
        self._graph.push(picture)
        while True:
            try:
                ready = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(ready, av.VideoFrame)
            assert ready.pts is not None and ready.time_base is not None
            ready.pts = round(ready.pts * ready.time_base / self._tick)
            ready.time_base = self._tick
            yield ready
