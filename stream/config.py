"""Every choice the app offers, with its default."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

from stream import StreamError
from stream.networks import Precision, network_file

CodecName = Literal["h264", "h265", "vp9", "av1", "prores", "ffv1"]
CODEC_NAMES = get_args(CodecName)
EDGES_NAMES = ("clean", "sharp", "plain")

DEFAULT_BACKGROUND = "blur"
_MOST_EDGE_PX = 50


@dataclass(frozen=True, kw_only=True)
class PersonConfig:
    """How the person is found and cut out, whatever the pictures come from."""

    network: str = "default"
    """default; small, for weak machines; or an ONNX file."""

    precision: Precision = "int8"
    """int8 is faster, fp32 exact; an ONNX file is taken as it is."""

    grow: float = 0.0
    """Keep so many more pixels around the person, negative less; counted at 720 lines."""

    feather: float = 0.0
    """Soften the edge over so many pixels outside the person, negative inside; at 720 lines."""

    edges: str = "clean"
    """plain: the network's matte, enlarged. sharp: along the picture's own edges. clean: that, and
    the colors there are freed of the old background."""

    def __post_init__(self) -> None:
        """Reject what cannot work, before anything is opened."""
        for name, px in (("grow", self.grow), ("feather", self.feather)):
            if not abs(px) <= _MOST_EDGE_PX:
                raise StreamError(
                    f"cannot {name} by {px:g} pixels: give -{_MOST_EDGE_PX} to {_MOST_EDGE_PX}"
                )
        if self.edges not in EDGES_NAMES:
            raise StreamError(
                f"cannot make edges {self.edges!r}: give one of {', '.join(EDGES_NAMES)}"
            )

    @property
    def network_file(self) -> Path:
        """The ONNX file that was asked for."""
        return network_file(self.network, self.precision)


@dataclass(frozen=True)
class ClipPaths:
    """Which clip, and where to."""

    input: str
    """The clip: a file, a URL that FFmpeg opens, or a folder of pictures."""

    output: Path
    """The clip to write (.mp4 .mkv .mov .webm), or a folder (no extension) for PNGs."""


# A dataclass has its last base's fields first, and what is given by place must come first.
@dataclass(frozen=True, kw_only=True)
class VideoConfig(PersonConfig, ClipPaths):
    """A recorded clip in, the same clip with another background out."""

    background: str = DEFAULT_BACKGROUND
    """blur, blur:STRENGTH (pixels at 720 lines), a color (#00b140, green), a picture, a clip,
    transparent, matte (the alpha as gray) or none."""

    codec: str | None = None
    """Video codec: h264, h265, vp9, av1, prores or ffv1; by default H.264 (VP9 in .webm; ProRes
    4444 in .mov for transparent)."""

    quality: int | None = None
    """Constant quality of the codec (CRF), lower is better: 18 for h264 by default."""

    fps: str = "30"
    """Frames per second at which a folder of pictures is played: 24, 12.5, 30000/1001."""

    force: bool = False
    """Replace an OUTPUT that exists."""

    def __post_init__(self) -> None:
        """Reject what cannot work, before anything is opened."""
        if self.codec not in (None, *CODEC_NAMES):
            raise StreamError(
                f"cannot encode as {self.codec}: the codecs are {', '.join(CODEC_NAMES)}"
            )
        super().__post_init__()
        if self.rate <= 0:
            raise StreamError(f"cannot play pictures at {self.fps} fps: give a rate above 0")

    @property
    def rate(self) -> Fraction:
        """`fps` as a fraction. Raises StreamError where it is no number."""
        try:
            return Fraction(self.fps).limit_denominator(1_001_000)
        except (ValueError, ZeroDivisionError):
            raise StreamError(
                f"cannot play pictures at {self.fps!r} fps: give a rate such as 24 or 30000/1001"
            ) from None


@dataclass(frozen=True)
class PicturePaths:
    """Which pictures, and where to."""

    paths: tuple[Path, ...]
    """Pictures or folders of them, and last the picture or folder to write."""

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Pictures, or folders of them."""
        return self.paths[:-1]

    @property
    def output(self) -> Path:
        """The picture to write, or a folder."""
        return self.paths[-1]


@dataclass(frozen=True, kw_only=True)
class ImageConfig(PersonConfig, PicturePaths):
    """Pictures in, the same pictures with another background out."""

    background: str = DEFAULT_BACKGROUND
    """As for video: blur, blur:STRENGTH, a color, a picture, transparent, matte or none."""

    force: bool = False
    """Replace pictures that exist."""

    def __post_init__(self) -> None:
        """Reject what cannot work, before anything is opened."""
        super().__post_init__()
        if len(self.paths) < 2:
            raise StreamError("cannot tell INPUT from OUTPUT: give at least one of each")
