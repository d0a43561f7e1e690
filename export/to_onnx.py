"""Keras → ONNX, fp32: static shape, the contract's names, and ready to be reshaped."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import onnx
from onnx import TensorProto, helper

from export import ExportError

OPSET = 18  # the newest that Keras's converter takes

# What the converter makes of UpSampling2D's repeated pixels.
REPEATING = (
    *("Unsqueeze", "Tile", "Transpose", "Reshape"),
    *("Unsqueeze", "Tile", "Reshape", "Transpose"),
)

log = logging.getLogger(__name__)


def onnx_from_keras(network: Path, target: Path, size_hw: tuple[int, int]) -> None:
    """Convert a .keras file; `image` (1, H, W, 3) and `previous` in, `alpha` (1, H, W, 1) out."""
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"Keras runs on {keras.backend.backend()}: ONNX comes out right only with "
            "KERAS_BACKEND=tensorflow"
        )
    model = open_keras(network)
    signature = {
        name: keras.InputSpec(shape=(1, *size_hw, channels), dtype="float32", name=name)
        for name, channels in (("image", 3), ("previous", 1))
    }
    with beside(target) as part:
        model.export(
            part, format="onnx", verbose=False, opset_version=OPSET, input_signature=[signature]
        )
        proto = onnx.load(part)
        repeat_in_one(proto.graph)
        polish(proto)
        onnx.save(proto, part)
    log.info("%s: %d nodes, %d bytes", target, len(proto.graph.node), target.stat().st_size)


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A place to write an ONNX file at; it takes its name when whole. Raises ExportError."""
    part = target.with_name(f".{target.name}.part.onnx")
    try:
        yield part
        part.replace(target)
    except OSError as error:
        raise ExportError(f"cannot write {target}: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def open_keras(network: Path) -> keras.Model:
    """Load a .keras file for inference."""
    try:
        return keras.models.load_model(network, compile=False)
    except (OSError, ValueError, KeyError) as error:
        raise ExportError(f"cannot open network {network}: {error}") from error


def repeat_in_one(graph: onnx.GraphProto) -> None:
    """Repeat pixels by one Resize, which engines run in 8 bits; the converter takes eight nodes."""
    chains = [list(_chain(graph, node, len(REPEATING))) for node in graph.node]
    for chain in chains:
        if tuple(node.op_type for node in chain) != REPEATING:
            continue
        scales = f"{chain[-1].output[0]}_scales"
        graph.initializer.append(helper.make_tensor(scales, TensorProto.FLOAT, [4], [1, 1, 2, 2]))
        resize = helper.make_node(
            "Resize",
            [chain[0].input[0], "", scales],
            chain[-1].output,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        chain[0].CopyFrom(resize)
        for node in chain[1:]:
            graph.node.remove(node)


def _chain(graph: onnx.GraphProto, node: onnx.NodeProto, length: int) -> Iterator[onnx.NodeProto]:
    """The node, and those that follow it as long as each has one reader."""
    follower: onnx.NodeProto | None = node
    for _ in range(length):
        if follower is None:
            return
        yield follower
        follower = only_reader(graph, follower.output[0])


def only_reader(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    """The node that reads a tensor, where there is one and no more."""
    readers = [node for node in graph.node if name in node.input]
    return readers[0] if len(readers) == 1 else None


def polish(proto: onnx.ModelProto) -> None:
    """Give the output its name, and replace the nodes that nail the size down.

    The converter turns (1, 1, H, W) into (1, H, W, 1) and back with Reshapes to numbers, which are
    right for one size only; a Transpose does the same at every size.
    """
    graph = proto.graph
    last = next(node for node in graph.node if graph.output[0].name in node.output)
    if last.op_type != "Reshape":
        raise ExportError(f"the network ends with {last.op_type}, expected Reshape: look at polish")
    last.output[0] = graph.output[0].name = "alpha"
    for node in graph.node:
        if node.op_type == "Reshape":
            perm = [0, 2, 3, 1] if node is last else [0, 3, 1, 2]
            turned = helper.make_node("Transpose", node.input[:1], node.output, perm=perm)
            node.CopyFrom(turned)
    del graph.value_info[:]
    number_by_place(graph)
    onnx.checker.check_model(proto, full_check=True)


def number_by_place(graph: onnx.GraphProto) -> None:
    """Name nodes, tensors and weights by their place, so that two exports are equal to the byte.

    The converter numbers them in an order that changes with every start of Python. Weights that no
    node reads any more are left out.
    """
    names = {value.name: value.name for value in (*graph.input, *graph.output)}
    for place, node in enumerate(graph.node):
        node.name = f"{place:03d}_{node.op_type}"
        for slot, name in enumerate(node.input):
            names.setdefault(name, f"{node.name}_weight{slot}" if name else "")
        for slot, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}_{slot}")
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    used = (weight for weight in graph.initializer if weight.name in names)
    weights = sorted(used, key=lambda weight: names[weight.name])
    for weight in weights:
        weight.name = names[weight.name]
    weights = [onnx.TensorProto.FromString(weight.SerializeToString()) for weight in weights]
    del graph.initializer[:]
    graph.initializer.extend(weights)


def scaling(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """What becomes of the image before the first convolution: 0-255 has steps of 1/8 in fp16."""
    name = "image"
    while True:
        reader = next(node for node in graph.node if name in node.input)
        if reader.op_type not in ("Mul", "Add", "Sub", "Div", "Transpose"):
            return
        yield reader
        name = reader.output[0]


def squashing(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The sigmoid and what follows it: fp16 has too few steps just below 1."""
    name = graph.output[0].name
    while True:
        maker = next((node for node in graph.node if name in node.output), None)
        if maker is None or maker.op_type not in ("Sigmoid", "Transpose"):
            return
        yield maker
        name = maker.input[0]
