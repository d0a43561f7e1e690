"""EfficientDet-Lite0's backbone, read from its TensorFlow Lite file, as the encoder's start.

That backbone is this EfficientNet-Lite0 after it learned from all 118,000 training pictures of COCO
where people and 79 other kinds of things are (Tan et al. 2020, "EfficientDet"). The file holds its
convolutions in the order in which they run, batch norms folded into them, in 8 bits.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from train import TrainError
from train.unet import STAGES

Array = NDArray[np.float32]

# Numbers of the format's operators and types.
CONVOLUTIONS = (3, 4)  # CONV_2D, DEPTHWISE_CONV_2D
TYPES = {2: np.dtype("<i4"), 9: np.dtype("i1")}


class Folded(NamedTuple):
    """A convolution with its batch norm in it."""

    kernel: Array  # (h, w, in, out); depthwise: (1, h, w, out)
    bias: Array  # (out,)


def read_detector(path: Path) -> dict[str, Folded]:
    """Read the backbone, by the encoder's layers (`block3_expand`). Raises TrainError."""
    # Not above: tf2onnx, which brings a reader of the format, takes seconds to import.
    from tf2onnx.tflite.Model import Model

    try:
        data = path.read_bytes()
        if not Model.ModelBufferHasIdentifier(data, 0):
            raise ValueError("it is no TensorFlow Lite file")
        # The heads, with their convolutions, come after the backbone.
        return dict(zip(_layers(), _convolutions(Model.GetRootAs(data, 0)), strict=False))
    except (OSError, ValueError, IndexError, TypeError, AttributeError, struct.error) as error:
        raise TrainError(f"cannot read EfficientDet-Lite0 from {path}: {error}") from error


def load_detector(model: keras.Model, backbone: dict[str, Folded]) -> int:
    """Put the backbone in the place of ImageNet's weights; return how many layers were filled.

    Kernels get the lengths that ImageNet's have, channel by channel, and the norms behind them take
    the difference back: so a learning rate turns them as far as it would have turned those.
    """
    layers = {layer.name: layer for layer in model.layers}
    filled = [name for name in _layers() if f"{name}_conv" in layers]
    for name in filled:
        try:
            _fill(layers[f"{name}_conv"], layers[f"{name}_norm"], backbone[name])
        except (KeyError, ValueError) as error:
            raise TrainError(
                f"the detector does not fit layer {name}: it must be EfficientDet-Lite0, and "
                f"the encoder of width 1 ({error})"
            ) from error
    return len(filled)


def _fill(conv: keras.Layer, norm: keras.Layer, folded: Folded) -> None:
    before = conv.get_weights()[0].reshape(folded.kernel.shape)
    scale = _lengths(before) / np.maximum(_lengths(folded.kernel), 1e-4)
    scale = np.clip(scale, 1e-2, 1e3)  # some channels have died, here or there
    conv.set_weights([(folded.kernel * scale).reshape(conv.kernel.shape)])
    mean, variance = np.zeros_like(scale), np.ones_like(scale)
    norm.set_weights([np.sqrt(1 + norm.epsilon) / scale, folded.bias, mean, variance])


def _lengths(kernel: Array) -> Array:
    return np.sqrt(np.square(kernel).sum((0, 1, 2)))


def _layers() -> Iterator[str]:
    """The encoder's convolutions in the order in which they run."""
    yield "stem"
    for block in range(sum(stage.blocks for stage in STAGES)):
        if block:
            yield f"block{block}_expand"
        yield f"block{block}_depthwise"
        yield f"block{block}_project"


def _convolutions(file: Any) -> Iterator[Folded]:
    graph = file.Subgraphs(0)
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        if file.OperatorCodes(operator.OpcodeIndex()).DeprecatedBuiltinCode() in CONVOLUTIONS:
            kernel, bias = (_values(file, graph.Tensors(operator.Inputs(at))) for at in (1, 2))
            # A kernel is (out, h, w, in) there; a depthwise one (1, h, w, out).
            depthwise = kernel.shape[0] == 1 and len(bias) > 1
            yield Folded(kernel if depthwise else kernel.transpose(1, 2, 3, 0), bias)


def _values(file: Any, tensor: Any) -> Array:
    """Undo the 8 bits (32 in biases): a step for each channel, zero lies at zero."""
    steps = tensor.Quantization()
    if tensor.Type() not in TYPES or steps is None or steps.ScaleIsNone():
        raise ValueError("its weights are not in 8 bits")
    kind = TYPES[tensor.Type()]
    whole = file.Buffers(tensor.Buffer()).DataAsNumpy().view(kind).reshape(tensor.ShapeAsNumpy())
    shape = [1] * whole.ndim
    shape[steps.QuantizedDimension()] = -1
    return (whole * steps.ScaleAsNumpy().reshape(shape)).astype(np.float32)
