"""MediaPipe's TFLite files, told in TFLite's standard operators, so that OpenVINO reads them."""

from pathlib import Path
from typing import Any

import numpy as np

# A transposed convolution with a bias: MediaPipe's own, from before TFLite's had one. Its options
# are three int32: padding (1 is "same"), stride along the width, stride along the height.
CUSTOM = b"Convolution2DTransposeBias"


def standard_tflite(network: Path) -> bytes:
    """The file's bytes with that operator replaced by TRANSPOSE_CONV, version 3; else as it is."""
    packed = network.read_bytes()
    if CUSTOM not in packed:
        return packed
    import flatbuffers  # both come with TensorFlow, which takes seconds to load
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(packed, 0)
    places = [n for n, code in enumerate(model.operatorCodes) if code.customCode == CUSTOM]
    for place in places:
        code = model.operatorCodes[place]
        code.customCode, code.version = None, 3
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.TRANSPOSE_CONV
    for graph in model.subgraphs:
        for operator in graph.operators:
            if operator.opcodeIndex in places:
                _standardize(operator, graph, model, schema)
    builder = flatbuffers.Builder(len(packed))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _standardize(operator: Any, graph: Any, model: Any, schema: Any) -> None:
    """(image, weights, bias) → (size, weights, image, bias), where size is a constant."""
    image, weights, bias = operator.inputs
    shape = np.asarray(graph.tensors[operator.outputs[0]].shape, np.int32)
    buffer, size = schema.BufferT(), schema.TensorT()
    buffer.data = np.frombuffer(shape.tobytes(), np.uint8)
    size.name, size.shape, size.type = b"size", [len(shape)], schema.TensorType.INT32
    size.buffer = len(model.buffers)
    operator.inputs = [len(graph.tensors), weights, image, bias]
    model.buffers.append(buffer)
    graph.tensors.append(size)
    padding, stride_w, stride_h = np.frombuffer(bytes(operator.customOptions), np.int32)
    options = schema.TransposeConvOptionsT()
    options.padding = schema.Padding.SAME if padding == 1 else schema.Padding.VALID
    options.strideW, options.strideH = int(stride_w), int(stride_h)
    operator.customOptions, operator.builtinOptions = None, options
    operator.builtinOptionsType = schema.BuiltinOptions.TransposeConvOptions
