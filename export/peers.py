"""Networks that others publish, each run in its own way, to be scored and timed beside ours.

A picture is resized to the network's input and the alpha comes back, both bilinearly. What their
own programs do with the alpha afterwards is theirs and is left out.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray

from export import ExportError
from export.forward import compiled, read_model
from export.standard_tflite import standard_tflite
from stream.backends.ov import openvino
from stream.sources.pictures import load_rgb
from train.letterbox import letterbox, unletterbox
from train.metrics import Alpha

Array = NDArray[np.float32]
Color = tuple[float, float, float]
Resize = Callable[[NDArray, tuple[int, int]], NDArray]

log = logging.getLogger(__name__)


def _plain(output: Array) -> Alpha:
    return np.squeeze(output)


def _second_of_two(output: Array) -> Alpha:  # (1, 2, H, W)
    return output[0, 1]


def _softmax_of_two(output: Array) -> Alpha:  # (1, H, W, 2)
    return 1 / (1 + np.exp(output[0, :, :, 0] - output[0, :, :, 1]))


@dataclass(frozen=True)
class Recipe:
    """How a published network wants its picture, and where its alpha is."""

    name: str
    alpha_of: Callable[[Array], Alpha] = _plain
    output: int = 0
    keeps_aspect: bool = False
    """Letterboxed, not squeezed. Each is run as it does best: on shared/data's portraits RVM gains
    0.03 IoU by it; MediaPipe Selfie loses 0.02 and Meet 0.04."""
    is_bgr: bool = False
    mean: Color = (0, 0, 0)
    spread: Color = (255, 255, 255)
    """The network sees (value − mean) / spread, of values 0-255, in its own order of channels."""


# By the name of the file, first match; their authors' own programs are the source.
RECIPES = {
    "obsbr_selfie_segmentation.onnx": Recipe("MediaPipe Selfie"),
    "mediapipe_*_landscape_*.tflite": Recipe("MediaPipe landscape"),
    "mediapipe_*.tflite": Recipe("MediaPipe TFLite"),
    "obsbr_mediapipe.onnx": Recipe("Google Meet", _softmax_of_two),
    "obsbr_SINet_*.onnx": Recipe(
        "SINet",
        _second_of_two,
        is_bgr=True,
        mean=(102.89, 111.25, 126.91),
        spread=(62.93 * 255, 62.82 * 255, 66.36 * 255),
    ),
    "anilsathyan_prisma_*.onnx": Recipe("Prisma"),
    "rvm_*_1080x1920_*.onnx": Recipe("RVM 1080×1920", output=1, keeps_aspect=True),
    "rvm_*.onnx": Recipe("RVM", output=1, keeps_aspect=True),
}


def _stretched(plane: NDArray, size_hw: tuple[int, int]) -> NDArray:
    return cv2.resize(plane, size_hw[::-1], interpolation=cv2.INTER_LINEAR)


class Peer:
    """One published network; inputs after the first are states that go from frame to frame."""

    def __init__(self, network: Path, recipe: Recipe) -> None:
        self._recipe = recipe
        self.request = compiled(_read(network))
        image, *self._states = self.request.input_tensors
        self._image = image.data
        self._is_nchw = self._image.shape[1] == 3
        h, w = self._image.shape[2:] if self._is_nchw else self._image.shape[1:3]
        self.input_hw = (h, w)
        self.name = recipe.name
        self.begin(is_clip=False)

    def begin(self, is_clip: bool) -> None:
        """Begin anew: states are zeros, as their authors start."""
        for state in self._states:
            state.data[:] = 0

    def matte(self, picture: Path) -> Alpha:
        """The alpha (H, W) of a picture, at the picture's own size."""
        rgb, _ = load_rgb(picture)
        return self.alpha(rgb)

    def alpha(self, rgb: NDArray[np.uint8]) -> Alpha:
        """The alpha (H, W) of (H, W, 3) RGB."""
        fit: Resize = letterbox if self._recipe.keeps_aspect else _stretched
        bring_back: Resize = unletterbox if self._recipe.keeps_aspect else _stretched
        self._image[:] = self._seen(fit(rgb, self.input_hw))
        self.request.infer()
        # The last outputs are the states, in the order of the inputs.
        for state, left in zip(self._states[::-1], self.request.output_tensors[::-1], strict=False):
            state.data[:] = left.data
        alpha = self._recipe.alpha_of(self.request.output_tensors[self._recipe.output].data)
        return bring_back(alpha, rgb.shape[:2])

    def _seen(self, small: NDArray[np.uint8]) -> Array:
        """(h, w, 3) RGB → what the network wants, (1, h, w, 3) or (1, 3, h, w)."""
        if self._recipe.is_bgr:
            small = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
        mean, spread = np.array([self._recipe.mean, self._recipe.spread], np.float32)
        image = (small - mean) / spread
        return (image.transpose(2, 0, 1) if self._is_nchw else image)[np.newaxis]

    def close(self) -> None:
        """Nothing is held beyond the object."""


def open_peers(folder: Path) -> list[Peer]:
    """Every network of a folder that there is a recipe for, in the order of the recipes."""
    found: dict[str, list[Path]] = {pattern: [] for pattern in RECIPES}
    for path in sorted(folder.glob("*")):
        pattern = next((pattern for pattern in RECIPES if path.match(pattern)), None)
        if pattern:
            found[pattern].append(path)
        elif path.suffix in (".onnx", ".tflite"):
            log.warning("%s is left out: export/peers.py has no recipe for it", path)
    if not any(found.values()):
        raise ExportError(f"no network in {folder} is known: expected {', '.join(RECIPES)}")
    return [Peer(path, RECIPES[pattern]) for pattern, paths in found.items() for path in paths]


def _read(network: Path) -> "openvino.Model":
    """The network, for one picture at a time."""
    if network.suffix == ".tflite":
        # OpenVINO takes TFLite from files only, and may still hold the file when the folder goes.
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            standard = Path(folder, network.name)
            standard.write_bytes(standard_tflite(network))
            model = read_model(standard)
    else:
        model = read_model(network)
    model.reshape({each.any_name: [1, *list(each.partial_shape)[1:]] for each in model.inputs})
    return model
