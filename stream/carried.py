"""Carried: what travels beside the picture, from the clip that comes in to the new one."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import av


@dataclass(slots=True)
class Carried:
    """A clip's other streams, chapters and metadata, and their packets as they are read.

    The source appends packets while the picture is decoded, the sink takes them: one reading of
    the input serves both, so that a pipe or a network stream will do.
    """

    streams: list[av.stream.Stream] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    picture_metadata: dict[str, str] = field(default_factory=dict)
    chapters: list[av.container.core.Chapter] = field(default_factory=list)
    packets: deque[av.Packet] = field(default_factory=deque)
