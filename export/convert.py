"""A .keras file → ONNX in one precision, TensorRT engine and card, each engine held to Keras."""

import hashlib
import logging
import tempfile
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np
import onnx

from export import ExportError
from export.calibration import frames
from export.card import write_card
from export.config import ExportConfig
from export.frames import Shown, shown_to
from export.ort import OnnxRuntime
from export.scoreboard import Table
from export.to_engine import engine_from_onnx
from export.to_fp16 import fp16_from_onnx
from export.to_int8 import FOR_TENSORRT, int8_from_onnx
from export.to_onnx import onnx_from_keras, open_keras
from export.to_triton import repository_from_onnx
from export.whole import whole
from stream.backends import BackendUnavailable, open_backend
from stream.backends.nvidia import GpuCard, first_card, has_driver
from stream.interfaces import Backend

log = logging.getLogger(__name__)

NOT_RUN = "not run: no GPU"
TITLES = ["engine", "largest difference", "mean difference", "IoU lost"]


@dataclass(frozen=True)
class Held:
    """How an engine does against Keras, over all frames."""

    engine: str
    largest: float | None = None
    mean: float | None = None
    iou_lost: float | None = None
    worst: str = ""
    """The frame with the largest difference or, where there is truth, that loses the most."""

    @property
    def cells(self) -> list[str]:
        """As a row of the table."""
        if self.largest is None or self.mean is None:
            return [self.engine, "", "", ""]
        lost = "–" if self.iou_lost is None else f"{self.iou_lost:+.4f}"
        return [self.engine, f"{self.largest:.2g}", f"{self.mean:.2g}", lost]


@dataclass(frozen=True)
class Conversion:
    """What was made of a .keras file."""

    network: Path
    engine: str
    rows: list[Held]
    frames: str

    @property
    def table(self) -> Table:
        """Every engine against Keras."""
        return TITLES, [row.cells for row in self.rows]


def convert(config: ExportConfig) -> Conversion:
    """Make OUT_DIR/NAME….onnx, the engine beside it and NAME….json, the card. Raises ExportError.

    Without a GPU the engine is built where TensorRT-RTX can, and not run.
    """
    assert config.out_dir is not None, "ExportConfig checks it"
    size_hw = (config.height, config.width)
    model = open_keras(config.run)
    shown = list(shown_to(model, size_hw, config.data, config.parity_pictures))
    with whole(config.out_dir) as place:
        done = _converted(config, shown, size_hw, place)
    return replace(done, network=config.out_dir / done.network.name)


def _converted(
    config: ExportConfig, shown: list[Shown], size_hw: tuple[int, int], place: Path
) -> Conversion:
    """Make the files in a folder. Raises ExportError where an engine is too far from Keras."""
    card = _card()
    suffix = ".onnx" if config.precision == "fp32" else f".{config.precision}.onnx"
    network = place / f"{config.run.stem}{suffix}"
    _make(config, network, size_hw)
    engine = engine_from_onnx(network, size_hw, card)
    rows = [Held(f"Keras {keras.__version__}", 0.0, 0.0, 0.0 if config.data else None)]
    rows += [_held(opened(network), shown, size_hw) for opened in (open_backend, OnnxRuntime)]
    if config.triton:
        served = repository_from_onnx(network, config.run.stem, size_hw, card)
        rows.append(_held(OnnxRuntime(served[0]), shown, size_hw))
    rows.append(_on_gpu(network, shown, size_hw, card))
    told = (
        f"{len(shown)} frames of {config.data.name}/"
        if config.data
        else f"{len(shown)} test patterns"
    )
    check(rows, config)
    done = Conversion(network, engine, rows, told)
    write_card(_entries(config, done, size_hw), network.with_suffix(".json"))
    return done


def check(rows: list[Held], config: ExportConfig) -> None:
    """Raise ExportError, with the worst frame, where an engine is too far from Keras."""
    for row in rows:
        if config.precision == "fp32":
            apart, most, what = row.largest, config.tolerance, "differs from Keras by"
        else:
            apart, most, what = row.iou_lost, config.int8_loss, "loses, in IoU against Keras,"
        if apart is not None and not apart <= most:
            raise ExportError(
                f"{row.engine} {what} {apart:.2g}, more than {most:g}; worst is {row.worst}: do "
                "not ship it"
            )


def _make(config: ExportConfig, network: Path, size_hw: tuple[int, int]) -> None:
    """Write the ONNX file in the precision that is asked for."""
    if config.precision == "fp32":
        onnx_from_keras(config.run, network, size_hw)
        return
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.onnx"
        onnx_from_keras(config.run, whole, size_hw)
        if config.precision == "fp16":
            fp16_from_onnx(whole, network)
            return
        assert config.data is not None, "ExportConfig checks it"
        seen = frames(whole, config.data, config.calibration_pictures, size_hw)
        int8_from_onnx(whole, network, seen, FOR_TENSORRT)


def _card() -> GpuCard | None:
    try:
        return first_card() if has_driver() else None
    except BackendUnavailable as error:
        log.warning("%s", error)
        return None


def _on_gpu(
    network: Path, shown: list[Shown], size_hw: tuple[int, int], card: GpuCard | None
) -> Held:
    if card is None:
        return Held(f"TensorRT, {network.name}: {NOT_RUN}")
    from stream.backends.trt import TensorRt

    try:
        return _held(TensorRt(network), shown, size_hw)
    except BackendUnavailable as error:
        return Held(f"TensorRT, {network.name}: not run: {error}")


def _held(backend: Backend, shown: list[Shown], size_hw: tuple[int, int]) -> Held:
    """Run every frame and compare; the frames' size must be the network's own."""
    with closing(backend):
        got_hw = backend.fit((float(size_hw[0]), float(size_hw[1])))
        if got_hw != size_hw:
            raise ExportError(f"{backend.name} takes {got_hw}, expected {size_hw}: try 160 × 256")
        apart, lost = [], []
        for frame in shown:
            alpha = backend.infer(frame.image, frame.previous)
            apart.append(np.abs(alpha - frame.alpha))
            before, after = frame.iou(frame.alpha), frame.iou(alpha)
            if before is not None and after is not None:
                lost.append(before - after)
    blame = lost or [float(each.max()) for each in apart]
    return Held(
        backend.name,
        largest=float(max(each.max() for each in apart)),
        mean=float(np.mean([each.mean() for each in apart])),
        iou_lost=float(np.mean(lost)) if lost else None,
        worst=shown[int(np.argmax(blame))].name,
    )


def _entries(config: ExportConfig, done: Conversion, size_hw: tuple[int, int]) -> dict:
    h, w = size_hw
    return {
        "network": done.network.name,
        "precision": config.precision,
        "sha256": _sha256(done.network),
        "made of": {"file": config.run.name, "sha256": _sha256(config.run)},
        "made with": {"keras": keras.__version__, "onnx": onnx.__version__},
        "input": f"image (1, {h}, {w}, 3) float32, RGB 0-255; previous (1, {h}, {w}, 1) float32: "
        "the alpha of the frame before, zeros at a start or a cut",
        "output": f"alpha (1, {h}, {w}, 1) float32, 0 = background, 1 = person",
        "engine": done.engine,
        "compared on": done.frames,
        "parity": [asdict(row) for row in done.rows],
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
