"""OpenVINO: the engine for processors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

# `import openvino` alone reports to an analytics server, through this package. It does without
# where the package cannot be imported, which None says. Import openvino through this file only.
cast(dict[str, Any], sys.modules)["openvino_telemetry"] = None
import openvino  # noqa: E402 - after the line above
from openvino import opset13 as ops  # noqa: E402

from stream import StreamError  # noqa: E402
from stream.letterbox import suited_hw  # noqa: E402

_SHAPES_KEPT = 8  # a folder of pictures has few shapes; each compiled one takes some 50 MB
_ZERO = 128  # where unsigned 8 bits have it


class OpenVino:
    """Runs an ONNX network on the processor, compiled once for each shape of frames."""

    def __init__(self, network: Path, area: int | None = None, threads: int = 0) -> None:
        if not network.is_file():
            raise StreamError(f"cannot find the network {network}: is it a file of models/?")
        self._network, self._threads = network, threads
        self._core = openvino.Core()
        try:
            self._model = self._core.read_model(network)
            count_from_zero(self._model)
            _, h, w, _ = self._model.input("image").shape
            self._own_hw, self._area = (h, w), area or h * w
            names = [name for value in self._model.inputs for name in value.names]
            self._looks_back = "previous" in names
        except (RuntimeError, ValueError) as error:
            raise self._refused(error) from error
        self._requests: dict[tuple[int, int], openvino.InferRequest] = {}
        version = openvino.get_version().split("-")[0]
        processor = self._core.get_property("CPU", "FULL_DEVICE_NAME")
        kinds = {node.get_type_name() for node in self._model.get_ops()}
        precision = "int8" if "FakeQuantize" in kinds else "fp32"
        self.name = f"OpenVINO {version}, {network.name}, {precision}, {processor.strip()}"

    def fit(self, display_hw: tuple[float, float]) -> tuple[int, int]:
        """The input size for frames shown at this size, compiled and ready."""
        input_hw = suited_hw(display_hw, self._own_hw, self._area)
        if input_hw not in self._requests:
            if len(self._requests) == _SHAPES_KEPT:
                self._requests.clear()
            self._requests[input_hw] = self._compiled(input_hw)
        return input_hw

    def infer(
        self, image: NDArray[np.float32], previous: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(N, H, W, 3) RGB 0-255 → (N, H, W, 1) alpha 0-1, valid until the next call.

        `previous` is the alpha of the frame before; networks that do not look back never see it.
        Several are run one by one, which is as fast (docs/engines.md).
        """
        if len(image) > 1:
            rows = [slice(row, row + 1) for row in range(len(image))]
            return np.concatenate([self.infer(image[row], previous[row]).copy() for row in rows])
        request = self._requests[image.shape[1:3]]
        request.set_tensor("image", openvino.Tensor(image, shared_memory=True))
        if self._looks_back:
            request.set_tensor("previous", openvino.Tensor(previous, shared_memory=True))
        request.infer()
        return request.get_output_tensor().data

    def close(self) -> None:
        """Free the engine; safe to call twice."""
        self._requests.clear()

    def _compiled(self, input_hw: tuple[int, int]) -> openvino.InferRequest:
        # Left alone, OpenVINO picks bf16 on processors where it is slower than f32.
        hints = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": self._threads,
        }
        try:
            shapes = {"image": [1, *input_hw, 3]}
            if self._looks_back:
                shapes["previous"] = [1, *input_hw, 1]
            self._model.reshape(shapes)
            return self._core.compile_model(self._model, "CPU", hints).create_infer_request()
        except RuntimeError as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> StreamError:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        words = lines[-1] if lines else type(error).__name__
        return StreamError(f"cannot run the network {self._network}: {words}")


def count_from_zero(model: openvino.Model) -> None:
    """Let what lies between layers in signed 8 bits, as TensorRT wants it, be unsigned, around 128.

    The numbers are the same, but OpenVINO 2026.4 computes the signed ones wrongly: `person`'s alpha
    is 0.016 from what ONNX Runtime makes of the same file, on average, and 0.003 so.
    """
    for quantize in model.get_ordered_ops():
        if quantize.get_type_name() != "FakeQuantize":
            continue
        signed = _reader(quantize, "Convert")
        floats = _reader(signed, "Convert")
        less = _reader(floats, "Subtract")
        if signed is None or floats is None or less is None:
            continue
        if signed.get_element_type() != openvino.Type.i8:
            continue
        for place in (3, 4):  # the least and the largest step
            step = quantize.input_value(place).get_node().data
            quantize.input(place).replace_source_output(ops.constant(step + _ZERO).output(0))
        floats.input(0).replace_source_output(ops.convert(quantize, "u8").output(0))
        zero = ops.convert(ops.constant(np.array(_ZERO, np.uint8)), "f32")
        less.input(1).replace_source_output(ops.add(less.input_value(1), zero).output(0))


def _reader(node: openvino.Node | None, kind: str) -> openvino.Node | None:
    """The one node, of this kind, that takes what a node gives; None where it is not so."""
    readers = node.output(0).get_target_inputs() if node is not None else ()
    nodes = [each.get_node() for each in readers]
    return nodes[0] if len(nodes) == 1 and nodes[0].get_type_name() == kind else None
