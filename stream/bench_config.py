"""What is measured by bench, and what with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from stream import StreamError
from stream.config import DEFAULT_BACKGROUND, PersonConfig, parsed_size_hw
from stream.networks import EngineName, Precision

# What two settings may differ in: what a value is read by, or which ones there are.
_SETTINGS: dict[str, Callable[[str], object] | tuple[str, ...]] = {
    "network": str,
    "precision": get_args(Precision),
    "engine": get_args(EngineName),
    "edges": str,
    "background": str,
    "size": str,
    "grow": float,
    "feather": float,
    "rate": float,
    "threads": int,
}


@dataclass(frozen=True, kw_only=True)
class BenchConfig(PersonConfig):
    """What is measured, and what with."""

    input: str | None = None
    """A clip, decoded beforehand, in place of the test pattern."""

    size: str | None = None
    """WIDTHxHEIGHT of the frames; by default 1280x720, or the clip's."""

    frames: int = 300
    """Frames that count; those that warm up come on top."""

    threads: int = 0
    """Threads of the processor; 0: those of a call with --rate, else all it has, as for clips."""

    background: str = DEFAULT_BACKGROUND
    """As for live."""

    rate: float | None = None
    """Frames per second, as a camera gives them; by default as many as can be done."""

    compare: tuple[str, str] | None = None
    """Two settings in turns (network=small,edges=sharp network=small) or two files of --json."""

    video: str | None = None
    """A clip: decode, replace the background and encode, against decoding and encoding alone."""

    peers: Path | None = None
    """A folder of others' networks, run in turns with ours, blended as most programs do."""

    json: Path | None = None
    """Write the figures here."""

    plot: Path | None = None
    """Draw stages and latencies as a PNG; needs matplotlib."""

    def __post_init__(self) -> None:
        """Reject what cannot work, before anything is opened."""
        super().__post_init__()
        if self.frames < 1:
            raise StreamError(f"cannot measure {self.frames} frames: give at least 1")
        if self.rate is not None and not 1 <= self.rate <= 1000:
            raise StreamError(f"cannot run at {self.rate:g} fps: give 1 to 1000")
        asked = [name for name in ("compare", "video", "peers") if getattr(self, name)]
        if len(asked) > 1:
            raise StreamError(f"cannot measure --{' and --'.join(asked)} at once: give one of them")
        if self.video and (self.json or self.plot):
            raise StreamError(
                "cannot write or draw the figures of --video: read them off the table"
            )

    @property
    def size_hw(self) -> tuple[int, int] | None:
        """`size` as (height, width). Raises StreamError where it is no size."""
        return None if self.size is None else parsed_size_hw(self.size)

    def with_setting(self, words: str) -> BenchConfig:
        """This with what `name=value,name=value` says. Raises StreamError where it says nothing."""
        changes: dict[str, Any] = {}
        for word in words.split(","):
            name, _, value = word.partition("=")
            if name not in _SETTINGS or not value:
                raise StreamError(
                    f"cannot read the setting {word!r}: give name=value, with one of "
                    f"{', '.join(_SETTINGS)}"
                )
            kind = _SETTINGS[name]
            if isinstance(kind, tuple):
                if value not in kind:
                    raise StreamError(f"cannot read {word!r}: give one of {', '.join(kind)}")
                changes[name] = value
                continue
            try:
                changes[name] = kind(value)
            except ValueError:
                raise StreamError(f"cannot read {word!r}: give a number") from None
        return replace(self, compare=None, **changes)
