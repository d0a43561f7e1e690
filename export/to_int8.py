"""ONNX fp32 → ONNX int8: static quantization (Q/DQ nodes), calibrated on real frames."""

import logging
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from export.rounding import round_weights
from export.to_onnx import beside, number_by_place, only_reader, scaling

# Everything but the last sigmoid, whose 8 bits would be too coarse where the matte is soft. Clip,
# Mul and Resize are among them because a tensor that goes back to floats between two 8-bit layers
# costs more than the layers: 2.1 against 1.6 times MediaPipe Selfie's time, at 256×256.
QUANTIZED = ["Add", "Clip", "Concat", "Conv", "ConvTranspose", "Mul", "Resize"]

Inputs = dict[str, NDArray]

log = logging.getLogger(__name__)
onnxruntime.disable_telemetry_events()
onnxruntime.set_default_logger_severity(3)


@dataclass(frozen=True)
class Flavor:
    """How an engine wants its eight bits."""

    activations: QuantType
    options: dict[str, Any]
    exact_scaling: bool


# Processors like all 256 steps for the range that there is. TensorRT takes only signed numbers
# around zero and biases as they are; colors of 0-255 would have half of such a range, so they are
# quantized when they are scaled.
FOR_PROCESSORS = Flavor(QuantType.QUInt8, {}, exact_scaling=False)
FOR_TENSORRT = Flavor(
    QuantType.QInt8,
    {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
    exact_scaling=True,
)


def int8_from_onnx(
    network: Path, target: Path, frames: Iterable[Inputs], flavor: Flavor = FOR_PROCESSORS
) -> None:
    """Quantize a network; `frames` are inputs by name, as the app shows them to the network.

    Weights are 8-bit per channel, signed; what flows between layers is 8-bit per tensor, its range
    the largest that `frames` make. Raises ExportError.
    """
    with beside(target) as part:
        with tempfile.TemporaryDirectory() as folder:
            ready = Path(folder) / "ready.onnx"
            quant_pre_process(network, ready, skip_symbolic_shape=True)
            whole = onnx.load(ready)
            steps = round_weights(whole.graph)
            onnx.save(whole, ready)
            exact = scaling(whole.graph) if flavor.exact_scaling else ()
            quantize_static(
                ready,
                part,
                _Reader(frames),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=QUANTIZED,
                nodes_to_exclude=[node.name for node in exact],
                activation_type=flavor.activations,
                extra_options={**flavor.options, "TensorQuantOverrides": steps},
            )
        proto = onnx.load(part)
        del proto.graph.value_info[:]  # shapes of the size that the frames had
        quantize_once(proto.graph)
        number_by_place(proto.graph)
        onnx.save(proto, part)
    log.info("%s: %d bytes", target, target.stat().st_size)


def quantize_once(graph: onnx.GraphProto) -> None:
    """Take out a quantization that follows another with only a Transpose in between.

    It changes next to nothing, and hides from the engine that the Transpose is a mere change of
    layout: the whole network takes 7 % longer.
    """
    source = {name: node for node in graph.node for name in node.output}
    for transpose in [node for node in graph.node if node.op_type == "Transpose"]:
        before = source.get(transpose.input[0])
        again = _reader_of_kind(graph, transpose.output[0], "QuantizeLinear")
        if before is None or before.op_type != "DequantizeLinear" or again is None:
            continue
        back = _reader_of_kind(graph, again.output[0], "DequantizeLinear")
        if back is None:
            continue
        graph.node.remove(again)
        graph.node.remove(back)
        for node in graph.node:
            node.input[:] = [
                transpose.output[0] if name == back.output[0] else name for name in node.input
            ]


def _reader_of_kind(graph: onnx.GraphProto, name: str, kind: str) -> onnx.NodeProto | None:
    reader = only_reader(graph, name)
    return reader if reader is not None and reader.op_type == kind else None


class _Reader(CalibrationDataReader):
    """Hands frames to the calibration one by one."""

    def __init__(self, frames: Iterable[Inputs]) -> None:
        self._frames: Iterator[Inputs] = iter(frames)

    def get_next(self) -> Inputs | None:
        return next(self._frames, None)
