"""Rounding weights to 8 bits so that kernels keep their sums."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

_STEPS = 127  # on either side of zero, as quantization has them


def round_evenly(graph: onnx.GraphProto) -> None:
    """Bring the weights of convolutions larger than 1×1 to their 8 bits, each kernel's sum kept.

    Rounded each for itself, the errors of a kernel add up, and neighbors in a picture are alike:
    what remains acts like light added or taken away. Quantization finds these weights on its
    steps and leaves them as they are. From SQuant (Guo et al. 2022, arXiv:2202.07471), its part
    for kernels.
    """
    weights = {each.name: each for each in graph.initializer}
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        proto = weights[node.input[1]]
        weight = numpy_helper.to_array(proto)  # (C out, C in, H, W)
        if weight.shape[2:] == (1, 1):
            continue
        steps = np.abs(weight).max(axis=(1, 2, 3)) / np.float32(_STEPS)
        steps[steps == 0] = 1
        step = np.repeat(steps, weight.shape[1])[:, np.newaxis]  # of each kernel
        kernels = weight.reshape(len(step), -1)
        even = (evenly(kernels / step) * step).astype(weight.dtype).reshape(weight.shape)
        proto.CopyFrom(numpy_helper.from_array(even, proto.name))


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
