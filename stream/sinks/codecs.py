"""Which encoder stands behind a codec's name, and which container takes what."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import av

from stream import StreamError
from stream.config import CodecName

os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder writes of itself on the terminal


@dataclass(frozen=True, slots=True)
class Codec:
    """An encoder of FFmpeg's and how we drive it."""

    encoder: str
    canonical: str  # the name that containers know it by
    quality: int | None  # constant-quality value by default; None: the encoder has no such scale
    worst_quality: int
    options: dict[str, str]
    large: dict[str, str] = field(default_factory=dict)  # more options, above 4K
    needs_even: bool = False  # refuses odd sizes where chroma is subsampled
    tells_aspect: bool = False  # states the pixels' shape in its own headers
    tag: str = ""  # the name in MP4 where players insist on one

    def options_at(self, quality: int | None, size_hw: tuple[int, int]) -> dict[str, str]:
        """The encoder's options for a quality (None: the default) and size. Raises StreamError."""
        if self.quality is None and quality is not None:
            raise StreamError(
                f"cannot set a quality for {self.canonical}: it keeps its own; leave --quality out"
            )
        if quality is not None and not 0 <= quality <= self.worst_quality:
            raise StreamError(
                f"cannot encode {self.canonical} at quality {quality}: give 0 (best) to "
                f"{self.worst_quality}; {self.quality} is the default"
            )
        wanted = self.quality if quality is None else quality
        options = dict(self.options) if wanted is None else {**self.options, "crf": str(wanted)}
        return options | self.large if size_hw[0] * size_hw[1] > _4K_PX else options


_4K_PX = 4096 * 2304
# Encoders look 40 frames ahead, of 50 MB each at 8K.
_LOOK_10 = {"rc-lookahead": "10"}

CODECS: dict[str, Codec] = {
    "h264": Codec("libx264", "h264", 18, 51, {}, _LOOK_10, needs_even=True, tells_aspect=True),
    "h265": Codec(
        "libx265",
        "hevc",
        20,
        51,
        {"x265-params": "log-level=error"},
        {"x265-params": "log-level=error:rc-lookahead=10"},
        needs_even=True,
        tells_aspect=True,
        tag="hvc1",
    ),
    "vp9": Codec("libvpx-vp9", "vp9", 26, 63, {"b": "0", "row-mt": "1", "cpu-used": "4"}),
    "av1": Codec("libsvtav1", "av1", 26, 63, {"preset": "8"}, needs_even=True),
    "prores": Codec("prores_ks", "prores", None, 0, {"vendor": "apl0"}),
    "ffv1": Codec("ffv1", "ffv1", None, 0, {}),
}

_BY_SUFFIX: dict[str, CodecName] = {
    ".mp4": "h264",
    ".m4v": "h264",
    ".mkv": "h264",
    ".mov": "h264",
    ".webm": "vp9",
}
_ALPHA_BY_SUFFIX: dict[str, CodecName] = {".mov": "prores", ".webm": "vp9"}


def codec_for(path: Path, asked: str | None, with_alpha: bool) -> Codec:
    """The codec for a file of this name; raises StreamError where the container cannot hold it."""
    suffix = path.suffix.lower()
    if suffix not in _BY_SUFFIX:
        raise StreamError(
            f"cannot write {path}: files of kind {suffix} are not offered; end the name with "
            f"{', '.join(_BY_SUFFIX)}, or with none for a folder of pictures"
        )
    table = _ALPHA_BY_SUFFIX if with_alpha else _BY_SUFFIX
    if with_alpha and table.get(suffix, "") != (asked or table.get(suffix)):
        raise StreamError(
            f"cannot keep transparency in {path}{f' with {asked}' if asked else ''}: give a .mov "
            "(ProRes 4444), a .webm (VP9 with alpha) or a folder (PNG)"
        )
    return CODECS[asked or table[suffix]]


def check_held(path: Path, codec: Codec, container: av.container.OutputContainer) -> None:
    """Raise StreamError, naming what fits, where a container cannot hold a codec."""
    takes = container.supported_codecs
    if codec.canonical not in takes:
        fitting = ", ".join(name for name, each in CODECS.items() if each.canonical in takes)
        raise StreamError(
            f"cannot put {codec.canonical} into {path}: {path.suffix} takes {fitting}"
        )
