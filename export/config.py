"""What can be asked of export and evaluate; the text under a field is its help."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from export import ExportError
from stream.config import DEFAULT_NETWORK


@dataclass(frozen=True)
class ExportConfig:
    """Choices of one export."""

    run: Path
    """Folder of the training run to ship."""

    _: KW_ONLY

    models: Path = DEFAULT_NETWORK.parent
    """Folder that receives NAME.keras, NAME.onnx, NAME.int8.onnx and NAME.json, the card."""

    name: str = DEFAULT_NETWORK.stem
    """Name of the shipped network."""

    data: Path | None = None
    """Folder of data to score on, laid out as for training; by default the run's own."""

    height: int = 160
    """Rows of the network's input, a multiple of 32."""

    width: int = 288
    """Columns of the network's input, a multiple of 32; the app picks a shape of this area."""

    tolerance: float = 1e-4
    """Largest difference in alpha that an engine may show against Keras."""

    calibration_pictures: int = 128
    """Training pictures on which the ranges of int8 are measured."""

    int8_loss: float = 0.005
    """Most IoU that int8 may lose against fp32, in any group of pictures."""

    def __post_init__(self) -> None:
        """Reject what cannot work."""
        for name, side in (("height", self.height), ("width", self.width)):
            if side < 32 or side % 32:
                raise ExportError(f"{name} {side}: must be a multiple of 32")
        if self.calibration_pictures < 1:
            raise ExportError(f"calibration_pictures {self.calibration_pictures}: at least 1")
        if self.tolerance <= 0:
            raise ExportError(f"tolerance {self.tolerance}: must be above 0")


@dataclass(frozen=True)
class EvaluateConfig:
    """Choices of one evaluation."""

    images: Path
    """Folder of pictures of people."""

    masks: Path
    """Folder of their masks: gray PNG of the same stem and size, white where people are."""

    _: KW_ONLY

    network: Path = DEFAULT_NETWORK
    """The network, an ONNX file."""

    json: Path | None = None
    """File that receives the scores, of all pictures and of each."""
