"""Every choice the app offers, with its default."""

from __future__ import annotations

import re
from collections.abc import Sized
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

from stream import StreamError
from stream.networks import EngineName, Precision

CodecName = Literal["h264", "h265", "vp9", "av1", "prores", "ffv1"]
CODEC_NAMES = get_args(CodecName)
EDGES_NAMES = ("clean", "sharp", "plain")

DEFAULT_BACKGROUND = "blur"
VIRTUAL_CAMERA = "camera"
_MOST_EDGE_PX = 50
_MOST_THREADS = 256


class WrongUsage(StreamError):
    """What was typed is no whole command."""


@dataclass(frozen=True, kw_only=True)
class PersonConfig:
    """How the person is found and cut out, whatever the pictures come from."""

    network: str = "default"
    """default; small, for weak machines; or an ONNX file."""

    precision: Precision | None = None
    """int8, fp16 or fp32, which is exact; by default int8 on the processor and fp16 on a GPU. An
    ONNX file is taken as it is."""

    engine: EngineName = "auto"
    """cpu; tensorrt, an NVIDIA GPU; or auto: the GPU for calls and clips where TensorRT runs."""

    grow: float = 0.0
    """Keep so many more pixels around the person, negative less; counted at 720 lines."""

    feather: float = 0.0
    """Soften the edge over so many pixels outside the person, negative inside; at 720 lines."""

    edges: str = "clean"
    """plain: the network's matte, enlarged. sharp: along the picture's own edges. clean: that, and
    the colors there are freed of the old background."""

    threads: int = 0
    """Threads of the processor; 0: all it has. Of clips, the network takes all but one, and what
    else there is to do to the frame before takes that one; otherwise they take turns."""

    def __post_init__(self) -> None:
        """Reject what cannot work, before anything is opened."""
        if not 0 <= self.threads <= _MOST_THREADS:
            raise StreamError(f"cannot use {self.threads} threads: give 0 to {_MOST_THREADS}")
        for name, px in (("grow", self.grow), ("feather", self.feather)):
            if not abs(px) <= _MOST_EDGE_PX:
                raise StreamError(
                    f"cannot {name} by {px:g} pixels: give -{_MOST_EDGE_PX} to {_MOST_EDGE_PX}"
                )
        if self.edges not in EDGES_NAMES:
            raise StreamError(
                f"cannot make edges {self.edges!r}: give one of {', '.join(EDGES_NAMES)}"
            )


@dataclass(frozen=True)
class ClipPaths:
    """Which clip, and where to."""

    input: str
    """The clip: a file, a URL that FFmpeg opens, or a folder of pictures."""

    output: Path
    """The clip to write (.mp4 .mkv .mov .webm), or a folder (no extension) for PNGs."""


@dataclass(frozen=True)
class ClipsPaths:
    """Which clips, and where to."""

    paths: tuple[str, ...]
    """Clips: files, URLs that FFmpeg opens, or folders of pictures; and last the clip to write
    (.mp4 .mkv .mov .webm) or a folder. Of one clip, a folder receives PNGs; of several, clips of
    the same names."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The clips."""
        return self.paths[:-1]

    @property
    def output(self) -> Path:
        """The clip to write, or a folder."""
        return Path(self.paths[-1])


# A dataclass has its last base's fields first, and what is given by place must come first.
@dataclass(frozen=True, kw_only=True)
class ClipConfig(PersonConfig):
    """What becomes of a recorded clip."""

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


@dataclass(frozen=True, kw_only=True)
class VideoConfig(ClipConfig, ClipPaths):
    """A recorded clip in, the same clip with another background out."""


@dataclass(frozen=True, kw_only=True)
class VideosConfig(ClipConfig, ClipsPaths):
    """Recorded clips in, the same clips with another background out."""

    def __post_init__(self) -> None:
        """Reject what cannot work, before anything is opened."""
        super().__post_init__()
        _check_two(self.paths)


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
        _check_two(self.paths)


def _check_two(paths: Sized) -> None:
    if len(paths) < 2:
        raise WrongUsage("cannot tell INPUT from OUTPUT: give at least one of each")


_SIZE = re.compile(r"(\d+)[x×](\d+)")


@dataclass(frozen=True, kw_only=True)
class LiveConfig(PersonConfig):
    """A webcam in, a virtual camera out."""

    camera: str | None = None
    """A number, a /dev path or part of a name; a clip or URL plays as one. By default the best."""

    background: str = DEFAULT_BACKGROUND
    """blur, blur:STRENGTH (pixels at 720 lines), a color (#00b140, green), a picture, a clip,
    matte (the alpha as gray) or none."""

    backgrounds: Path | None = None
    """A folder of pictures and clips to change to with the keys n and p."""

    size: str | None = None
    """WIDTHxHEIGHT; by default 1280x720, or the nearest that the camera has."""

    fps: float = 30.0
    """Frames per second that the camera is asked for."""

    mirror: bool = False
    """Show the person as a mirror does."""

    output: tuple[str, ...] = (VIRTUAL_CAMERA,)
    """camera (the first free virtual camera), its /dev path or name, window, or a clip to record
    to; may be given several times."""

    threads: int = 1
    """Threads of the processor for the network and for each step of a frame; 0: all it has, which
    is a fifth faster and takes half as much again of the processor."""

    always_on: bool = False
    """Keep the webcam on while no program reads the virtual camera."""

    force: bool = False
    """Replace a recording that exists."""

    def __post_init__(self) -> None:
        """Reject what cannot work, before anything is opened."""
        super().__post_init__()
        if self.background == "transparent":
            raise StreamError(
                "cannot be transparent in a call: choose a color such as '#00b140', which other "
                "programs can key out"
            )
        if not 1 <= self.fps <= 240:
            raise StreamError(f"cannot run at {self.fps:g} fps: give 1 to 240")
        if self.backgrounds is not None and not self.backgrounds.is_dir():
            raise StreamError(f"cannot find the folder {self.backgrounds}: is the name right?")
        if self.size_hw is not None and (self.size_hw[0] % 2 or self.size_hw[1] % 2):
            raise StreamError(
                f"cannot run at {self.size}: virtual cameras need even sides, such as 1280x720"
            )

    @property
    def rate(self) -> Fraction:
        """`fps` as a fraction that encoders can count in."""
        return Fraction(self.fps).limit_denominator(1001)

    @property
    def size_hw(self) -> tuple[int, int] | None:
        """`size` as (height, width). Raises StreamError where it is no size."""
        if self.size is None:
            return None
        return parsed_size_hw(self.size)


def parsed_size_hw(size: str) -> tuple[int, int]:
    """(height, width) of WIDTHxHEIGHT. Raises StreamError where it is no size."""
    match = _SIZE.fullmatch(size.lower())
    if match is None or "0" in (match[1], match[2]):
        raise StreamError(f"cannot read the size {size!r}: give one such as 1280x720")
    return int(match[2]), int(match[1])
