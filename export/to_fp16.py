"""ONNX fp32 → ONNX fp16, for GPUs: half-precision weights and layers, the contract's inputs and
output still float32."""

import logging
from pathlib import Path

import onnx
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.transformers.float16 import convert_float_to_float16

from export.to_onnx import beside, number_by_place, scaling, squashing

log = logging.getLogger(__name__)


def fp16_from_onnx(network: Path, target: Path) -> None:
    """Convert a network; the scaling of colors and the last sigmoid stay exact.

    Raises ExportError.
    """
    proto = onnx.load(network)
    exact = [node.name for node in (*scaling(proto.graph), *squashing(proto.graph))]
    half = convert_float_to_float16(
        proto,
        keep_io_types=True,
        op_block_list=[],  # by default Resize among others, which costs two casts each
        node_block_list=exact,
    )
    drop_detours(half.graph)
    ONNXModel(half).topological_sort()  # the casts come last
    del half.graph.value_info[:]  # shapes of one size
    number_by_place(half.graph)
    onnx.checker.check_model(half, full_check=True)
    with beside(target) as part:
        onnx.save(half, part)
    log.info("%s: %d bytes", target, target.stat().st_size)


def drop_detours(graph: onnx.GraphProto) -> None:
    """Take out casts to fp16 that are cast back at once: the converter puts one at every input."""
    source = {name: node for node in graph.node for name in node.output}
    renamed = {}
    for back in [node for node in graph.node if _casts_to(node, onnx.TensorProto.FLOAT)]:
        there = source.get(back.input[0])
        if there is not None and _casts_to(there, onnx.TensorProto.FLOAT16):
            renamed[back.output[0]] = there.input[0]
            graph.node.remove(back)
    for name in [value.name for value in graph.output if value.name in renamed]:
        maker = source[renamed[name]]  # an output keeps its name: its maker takes it
        renamed[maker.output[0]] = maker.output[0] = name
        del renamed[name]
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    read = {name for node in graph.node for name in node.input} | {v.name for v in graph.output}
    for node in [node for node in graph.node if not read & set(node.output)]:
        graph.node.remove(node)


def _casts_to(node: onnx.NodeProto, kind: int) -> bool:
    return node.op_type == "Cast" and node.attribute[0].i == kind
