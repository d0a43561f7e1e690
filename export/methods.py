"""What makes mattes to be scored: our network, run as the app runs it, or a folder of files.

Networks that others publish are in peers.py.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from export import ExportError
from stream.backends import open_backend
from stream.matte import MatteRefiner
from stream.networks import EngineName
from stream.second_look import TwiceSegmenter
from stream.segmenter import Segmenter
from stream.sources.pictures import read_picture
from train.metrics import Alpha
from train.sample import read_gray


class Method(Protocol):
    """Makes a matte of each picture that it is shown."""

    name: str

    def begin(self, is_clip: bool) -> None:
        """Begin anew: what comes is a still, or a clip's first frame."""
        ...

    def matte(self, picture: Path) -> Alpha:
        """The alpha (H, W) of a picture, at the picture's own size."""
        ...

    def close(self) -> None:
        """Free what it holds; safe to call twice."""
        ...


class AppNetwork:
    """A network run as the app runs it: its reader, its engine, its letterbox, its edges."""

    def __init__(
        self,
        network: Path,
        area: int | None = None,
        engine: EngineName = "cpu",
        *,
        is_live: bool = False,
    ) -> None:
        self.name = network.stem
        self._backend = open_backend(network, area, engine=engine)
        self._is_live = is_live
        self.begin(is_clip=is_live)

    def begin(self, is_clip: bool) -> None:
        """Begin anew: stills are seen twice, as `image` does, unless scored as in a call."""
        kind = Segmenter if is_clip or self._is_live else TwiceSegmenter
        self._segmenter, self._refiner, self._frames = kind(self._backend), MatteRefiner(), 0

    def matte(self, picture: Path) -> Alpha:
        """The alpha (H, W) of a picture, refined along its edges."""
        frame = read_picture(picture, self._frames).frame
        self._frames += 1
        alpha = self._segmenter.segment(frame)
        assert alpha is not None, "a picture is no stand-in"
        return self._refiner.refine(alpha, frame)

    def close(self) -> None:
        """Free the engine; safe to call twice."""
        self._backend.close()


class FinishedMattes:
    """A folder of mattes that are there already, whoever made them."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ExportError(f"no folder {folder}: --mattes takes a folder of gray PNG files")
        self.name = folder.name
        self._folder = folder

    def begin(self, is_clip: bool) -> None:
        """Nothing is remembered."""

    def matte(self, picture: Path) -> Alpha:
        """The alpha (H, W) in the file that is named as the picture."""
        path = self._folder / f"{picture.stem}.png"
        if not path.is_file():
            raise ExportError(
                f"no matte {path} for {picture}: name it so, or leave the picture out"
            )
        gray = read_gray(path)
        with Image.open(path) as opened:
            if "A" in opened.getbands():
                raise ExportError(f"{path} is a cut-out: give its alpha alone, as a gray PNG")
        return gray / np.float32(255)

    def close(self) -> None:
        """Nothing is held."""
