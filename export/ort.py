"""ONNX Runtime on the processor: a second opinion on an ONNX file.

Of fp16 neither it nor the app's own engine for processors shows all: weights are rounded, but what
flows between layers stays fp32 wherever it has no fp16 kernels. Only a GPU shows the rest.
"""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from export import ExportError

onnxruntime.disable_telemetry_events()


class OnnxRuntime:
    """Runs an ONNX network at its own input size."""

    def __init__(self, network: Path) -> None:
        try:
            self._session = onnxruntime.InferenceSession(
                network, providers=["CPUExecutionProvider"]
            )
        except RuntimeError as error:
            raise ExportError(f"cannot run the network {network}: {error}") from error
        inputs = {each.name: each.shape for each in self._session.get_inputs()}
        self._hw, self._names = tuple(inputs["image"][1:3]), list(inputs)
        self.name = f"ONNX Runtime {onnxruntime.__version__}, {network.name}"

    def fit(self, display_hw: tuple[float, float]) -> tuple[int, int]:
        """The network's own input size, whatever is shown."""
        return self._hw[0], self._hw[1]

    def infer(
        self, image: NDArray[np.float32], previous: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(1, H, W, 3) RGB 0-255 → (1, H, W, 1) alpha 0-1."""
        given = {"image": image, "previous": previous}
        return self._session.run(["alpha"], {name: given[name] for name in self._names})[0]

    def close(self) -> None:
        """Nothing to free."""
