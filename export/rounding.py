"""Weights in 8 bits: their steps, and rounding that keeps the sums of kernels."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import QuantType

_STEPS = 127  # on either side of zero, as quantization has them
# Processors without VNNI multiply two channels' values, up to 255, by their weights and add the
# two in 16 bits, where 255 * 128 is the most; and rounding may take each weight nearly a step up.
_STEPS_OF_PAIR = 126.5

Weights = NDArray[np.float32]  # (C out, C in, H, W)
Overrides = dict[str, list[dict[str, Any]]]  # of ONNX Runtime's quantization, by weights' name


def round_weights(graph: onnx.GraphProto) -> Overrides:
    """Bring kernels larger than 1×1 to their 8 bits; the steps of all convolutions' weights.

    Rounded each for itself, the errors of a kernel add up, and neighbors in a picture are alike:
    what remains acts like light added or taken away. Here each kernel keeps its sum. From SQuant
    (Guo et al. 2022, arXiv:2202.07471), its part for kernels. Steps are wide enough for processors
    that add in pairs.
    """
    weights = {each.name: each for each in graph.initializer}
    overrides: Overrides = {}
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        proto = weights[node.input[1]]
        weight = numpy_helper.to_array(proto)
        steps = steps_of(weight)
        if weight.shape[2:] != (1, 1):
            step = np.repeat(steps, weight.shape[1])[:, np.newaxis]  # of each kernel
            even = evenly(weight.reshape(len(step), -1) / step) * step
            even = even.astype(weight.dtype).reshape(weight.shape)
            proto.CopyFrom(numpy_helper.from_array(even, proto.name))
        overrides[proto.name] = [
            {"quant_type": QuantType.QInt8, "axis": 0, "scale": step, "zero_point": np.int8(0)}
            for step in steps
        ]
    return overrides


def steps_of(weight: Weights) -> NDArray[np.float32]:
    """How wide a step is, for each channel that comes out."""
    widest = np.abs(weight).max(axis=(1, 2, 3)) / _STEPS
    if weight.shape[1] > 1:
        filled = np.pad(weight, ((0, 0), (0, weight.shape[1] % 2), (0, 0), (0, 0)))
        for side in (filled, -filled):
            same = np.maximum(side, 0)  # what has another sign takes away
            pairs = same[:, 0::2] + same[:, 1::2]
            widest = np.maximum(widest, pairs.max(axis=(1, 2, 3)) / _STEPS_OF_PAIR)
    return np.where(widest == 0, 1, widest).astype(np.float32)


def evenly(kernels: NDArray[np.floating]) -> NDArray[np.floating]:
    """Round each row (N, K) to whole numbers whose sum is the row's own, to within a half.

    Those that came farthest go the other way; no number moves by one or more.
    """
    rounded = np.round(kernels)
    moved = rounded - kernels
    excess = np.round(moved.sum(axis=1, keepdims=True))
    rank = moved.argsort(axis=1).argsort(axis=1)  # 0 where a number was rounded down the farthest
    down = rank >= kernels.shape[1] - excess
    up = rank < -excess
    return rounded - down + up
