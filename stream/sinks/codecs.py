"""Which encoder stands behind a codec's name, and which container takes what."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

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
    smallest_px: int = 2  # the shortest side that it encodes without fail
    most_bits: int = 10  # a value
    tag: str = ""  # the name in MP4 where players insist on one

    def check_size(self, size_hw: tuple[int, int], with_alpha: bool, shown: Path) -> None:
        """Raise StreamError, naming the file, for a picture too small for the encoder."""
        smallest_px = _SMALLEST_ALPHA_PX if with_alpha else self.smallest_px
        if min(size_hw) < smallest_px:
            raise StreamError(
                f"cannot write {shown}: {self.canonical} takes sides of at least {smallest_px} "
                f"pixels and this is {size_hw[1]}×{size_hw[0]}; give another --codec, or a folder "
                "for pictures"
            )

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


_SMALLEST_ALPHA_PX = 32
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
        smallest_px=40,  # below, x265 now and then writes past its memory's end
        tag="hvc1",
    ),
    "vp9": Codec(
        "libvpx-vp9", "vp9", 26, 63, {"b": "0", "row-mt": "1", "cpu-used": "4"}, most_bits=8
    ),
    "av1": Codec("libsvtav1", "av1", 26, 63, {"preset": "8"}, needs_even=True, smallest_px=16),
    "prores": Codec("prores_ks", "prores", None, 0, {"vendor": "apl0"}),
    "ffv1": Codec("ffv1", "ffv1", None, 0, {}),
}

# What a file of an ending holds such that players open it; the first is the default.
HOLDS: dict[str, tuple[CodecName, ...]] = {
    ".mp4": ("h264", "h265", "vp9", "av1"),
    ".m4v": ("h264", "h265"),
    ".mkv": ("h264", "h265", "vp9", "av1", "prores", "ffv1"),
    ".mov": ("h264", "h265", "prores"),
    ".webm": ("vp9", "av1"),
}
_HOLDS_ALPHA: dict[str, CodecName] = {".mov": "prores", ".webm": "vp9"}


def codec_for(path: Path, asked: str | None, with_alpha: bool, depth: int = 8) -> Codec:
    """The codec for a file of this name; raises StreamError where the file cannot hold it."""
    suffix = path.suffix.lower()
    if suffix not in HOLDS:
        raise StreamError(
            f"cannot write {path}: files of kind {suffix} are not offered; end the name with "
            f"{', '.join(HOLDS)}, or with none for a folder of pictures"
        )
    if with_alpha and (suffix not in _HOLDS_ALPHA or asked not in (None, _HOLDS_ALPHA[suffix])):
        raise StreamError(
            f"cannot keep transparency in {path}{f' with {asked}' if asked else ''}: give a .mov "
            "(ProRes 4444), a .webm (VP9 with alpha) or a folder (PNG)"
        )
    if asked is not None and asked not in HOLDS[suffix]:
        raise StreamError(
            f"cannot put {asked} into {path}: {suffix} takes {', '.join(HOLDS[suffix])}"
        )
    if with_alpha:
        return CODECS[_HOLDS_ALPHA[suffix]]
    keeps = (name for name in HOLDS[suffix] if depth <= CODECS[name].most_bits)
    return CODECS[asked or next(keeps, HOLDS[suffix][0])]


def suffix_for(own: str, asked: str | None, with_alpha: bool) -> str:
    """The ending of a file that holds what becomes of a clip: its own, else the first that can.

    Raises StreamError where none can.
    """
    for suffix in (own, *HOLDS):
        with suppress(StreamError):
            codec_for(Path(f"clip{suffix}"), asked, with_alpha)
            return suffix
    raise StreamError(f"cannot keep transparency with {asked}: leave --codec out")
