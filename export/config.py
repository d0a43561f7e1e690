"""What can be asked of export and evaluate; the text under a field is its help."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Literal

from export import ExportError
from stream.networks import MODELS, SHIPPED, Precision, network_file, recorded_area

SHEET_SUFFIXES = (".png", ".jpg", ".webp")


@dataclass(frozen=True)
class ExportConfig:
    """Choices of one export."""

    run: Path
    """Folder of the training run to ship; or a .keras file to convert, with OUT_DIR."""

    out_dir: Path | None = None
    """Folder for what becomes of a .keras file: ONNX, TensorRT engine and card."""

    _: KW_ONLY

    precision: Precision = "fp16"
    """Of what becomes of a .keras file: fp32, fp16, or int8, calibrated on --data."""

    triton: bool = False
    """Lay out a .keras file's OUT_DIR for NVIDIA's Triton server as well."""

    parity_pictures: int = 64
    """Held-back pictures of --data on which the engines of a .keras file are held to Keras."""

    models: Path = MODELS
    """Folder that receives NAME.keras, NAME.onnx, NAME.fp16.onnx, NAME.int8.onnx and NAME.json,
    the card."""

    blend: tuple[Path, ...] = ()
    """A .keras file of the same network, such as what an earlier run made on the way to this one;
    may be given several times. What is shipped is the mean of all, weight by weight."""

    belief: float = 1.0
    """Share of its own matte of the frame before that the network of a run is to be told, 0 to 1:
    with 0.5 it is steadied nearly as much, and holds on to mistakes much less."""

    name: str = SHIPPED["default"]
    """Name of the shipped network."""

    data: Path | None = None
    """Folder of data to score on, laid out as for training; by default the run's own. Without
    it, a .keras file's engines are compared on test patterns."""

    height: int = 160
    """Rows of the network's input, a multiple of 32."""

    width: int = 256
    """Columns of the network's input, a multiple of 32; the app picks a shape of this area."""

    tolerance: float = 1e-4
    """Largest difference in alpha that an engine may show against Keras."""

    calibration_pictures: int = 128
    """Training pictures on which the ranges of int8 are measured."""

    int8_loss: float = 0.005
    """Most IoU that int8 or fp16 may lose against fp32, in any group of pictures."""

    def __post_init__(self) -> None:
        """Reject what cannot work."""
        for name, side in (("height", self.height), ("width", self.width)):
            if side < 32 or side % 32:
                raise ExportError(f"{name} {side}: must be a multiple of 32")
        for name in ("calibration_pictures", "parity_pictures"):
            if getattr(self, name) < 1:
                raise ExportError(f"{name} {getattr(self, name)}: at least 1")
        if self.tolerance <= 0:
            raise ExportError(f"tolerance {self.tolerance}: must be above 0")
        if self.is_file and self.out_dir is None:
            raise ExportError(f"cannot tell where to put what becomes of {self.run}: give OUT_DIR")
        if self.is_file and self.precision == "int8" and self.data is None:
            raise ExportError("int8 is calibrated on real frames: give --data")
        if not 0 <= self.belief <= 1:
            raise ExportError(f"belief {self.belief}: must be from 0 to 1")
        if self.is_file and self.belief != 1:
            raise ExportError(f"--belief goes with a run; {self.run} is a file")
        if self.is_file and self.blend:
            raise ExportError(f"--blend goes with a run; {self.run} is a file")
        if not self.is_file and self.triton:
            raise ExportError(f"--triton goes with a .keras file and OUT_DIR; {self.run} is a run")
        if not self.is_file and self.out_dir is not None:
            raise ExportError(
                f"{self.run} is a run, which is shipped into --models: OUT_DIR goes with a .keras "
                "file"
            )

    @property
    def is_file(self) -> bool:
        """Whether a .keras file is converted, and no run shipped."""
        return self.run.suffix == ".keras"


@dataclass(frozen=True)
class EvaluateConfig:
    """Choices of one evaluation."""

    images: Path | None = None
    """Folder of pictures of people."""

    masks: Path | None = None
    """Folder of their masks: gray PNG of the same stem and size, white where people are."""

    _: KW_ONLY

    frames: Path | None = None
    """Folder of a clip's frames, in place of IMAGES: played in order, so that flicker is scored."""

    coco: Path | None = None
    """Folder in COCO's own layout, or one of its instances_*.json with the pictures in IMAGES."""

    split: str = "val2017"
    """Which part of the COCO folder; its pictures with people are scored."""

    data: Path | None = None
    """Folder of data laid out as for training: everything in it that training never sees."""

    network: str = "default"
    """default, small, or an ONNX file."""

    precision: Precision | None = None
    """int8, fp16 or fp32; by default the engine's own. An ONNX file is taken as it is."""

    engine: Literal["cpu", "tensorrt"] = "cpu"
    """cpu, or tensorrt: an NVIDIA GPU."""

    live: bool = False
    """As in a call: one look at as many pixels, not the two at more that stills get."""

    mattes: Path | None = None
    """Folder of finished mattes, in place of a network: gray PNG named as the pictures are."""

    peers: Path | None = None
    """Folder of networks that others publish: scored beside ours, and timed against it."""

    json: Path | None = None
    """File that receives the scores, of all pictures and of each."""

    sheet: Path | None = None
    """Picture that receives the worst cases: picture, truth, matte and composite side by side."""

    worst: int = 12
    """How many cases of each set of pictures the sheet shows."""

    def __post_init__(self) -> None:
        """Reject what cannot work, before anything is opened."""
        self._check_what_is_scored()
        if self.worst < 1:
            raise ExportError(f"worst {self.worst}: a sheet shows at least 1 case")
        if self.sheet and self.sheet.suffix.lower() not in SHEET_SUFFIXES:
            raise ExportError(
                f"sheet {self.sheet}: give a name ending in {', '.join(SHEET_SUFFIXES)}"
            )
        for path in (self.json, self.sheet):
            if path and (path.is_dir() or not path.parent.is_dir()):
                raise ExportError(f"cannot write {path}: give a file in a folder that exists")

    @property
    def network_file(self) -> Path:
        """The ONNX file that was asked for."""
        return network_file(self.network, self.precision, self.engine)

    @property
    def area(self) -> int | None:
        """Pixels of the network's input; None is the file's own."""
        return None if self.live else recorded_area(self.network)

    def _check_what_is_scored(self) -> None:
        sets = {"--data": self.data, "--coco": self.coco, "--frames": self.frames}
        given = [flag for flag, path in sets.items() if path]
        if self.coco and self.coco.suffix == ".json":
            if not self.images:
                raise ExportError(f"{self.coco} is a file: --images says where its pictures lie")
        elif self.images:
            given.append("IMAGES")
        if len(given) != 1:
            raise ExportError(
                f"cannot tell what to score from {' and '.join(given) or 'nothing'}: give IMAGES "
                "and MASKS, or --frames and --masks, or --coco, or --data"
            )
        if (given[0] in ("IMAGES", "--frames")) != bool(self.masks):
            wanted = "brings its own truth and takes no" if self.masks else "needs"
            raise ExportError(f"{given[0]} {wanted} --masks")
