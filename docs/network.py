"""Draw the network from its code, as a Mermaid flowchart, and count its work.

    python docs/network.py [--depth 0.5] [--size 160x288]

Needs requirements-train.txt. docs/network.md holds what it prints; tests/test_docs_network.py
compares the two.
"""

import argparse
import re
import sys
from collections import defaultdict
from itertools import accumulate
from math import prod
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import keras

from train.unet import STAGES, build_unet

FIRST_BLOCKS = list(accumulate((stage.blocks for stage in STAGES), initial=0))


def part_of(layer: keras.Layer) -> str | None:
    """The box that a layer is drawn in."""
    name = layer.name
    if found := re.match(r"block(\d+)_", name):
        return f"stage{sum(int(found[1]) >= first for first in FIRST_BLOCKS) - 1}"
    if found := re.match(r"(stem|neck|memory\d+|up\d+|logits|alpha|image|previous)", name):
        return found[1]
    return None  # a sum or a scaling, which has no name of its own: part of what it reads


def parts(model: keras.Model) -> dict[str, list[keras.Layer]]:
    """Every box and its layers, in the order of the network."""
    boxes: dict[str, list[keras.Layer]] = defaultdict(list)
    box_of: dict[str, str] = {}
    for layer in model.layers:
        sources = [t._keras_history.operation.name for t in _inputs(layer)]
        box_of[layer.name] = part_of(layer) or box_of[sources[0]]
        boxes[box_of[layer.name]].append(layer)
    return boxes


def macs(layer: keras.Layer) -> int:
    """Multiplications of a layer for one frame."""
    if not hasattr(layer, "kernel"):
        return 0
    pixels = prod(layer.output.shape[1:3])
    if isinstance(layer, keras.layers.Conv2DTranspose):
        pixels = prod(layer.input.shape[1:3])
    return pixels * prod(layer.kernel.shape)


def chart(model: keras.Model) -> str:
    """The flowchart: a box a stage, with its shape, parameters and work."""
    boxes = parts(model)
    box_of = {layer.name: box for box, layers in boxes.items() for layer in layers}
    lines = ["flowchart TD"]
    for box, layers in boxes.items():
        h, w, channels = layers[-1].output.shape[1:]
        count = sum(layer.count_params() for layer in layers)
        work = sum(macs(layer) for layer in layers)
        cost = f"<br>{count:,} weights, {work / 1e6:.0f} M multiplications" if count else ""
        lines.append(f'    {box}["{box}: {h}×{w}×{channels}{cost}"]')
    links = {
        (box_of[tensor._keras_history.operation.name], box_of[layer.name])
        for layer in model.layers
        for tensor in _inputs(layer)
    }
    order = list(boxes)
    lines += [
        f"    {source} --> {target}"
        for source, target in sorted(links, key=lambda link: [order.index(box) for box in link])
        if source != target
    ]
    return "\n".join(lines)


def total(model: keras.Model) -> str:
    """The sums, in a sentence."""
    work = sum(macs(layer) for layer in model.layers)
    return f"{model.count_params():,} weights, {work / 1e6:.0f} M multiplications a frame"


def sized(depth: float, size_hw: tuple[int, int]) -> keras.Model:
    """The network with its shapes filled in."""
    model = build_unet(depth=depth)
    inputs = {
        name: keras.Input((*size_hw, tensor.shape[-1]), name=name)
        for name, tensor in model.input.items()
    }
    return keras.models.clone_model(model, input_tensors=inputs)


def _inputs(layer: keras.Layer) -> list[keras.KerasTensor]:
    if isinstance(layer, keras.layers.InputLayer):
        return []
    return layer.input if isinstance(layer.input, list) else [layer.input]


def main() -> None:
    """Print the chart and the sums."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--depth", type=float, default=1.0)
    parser.add_argument("--size", default="160x288")
    asked = parser.parse_args()
    h, w = map(int, asked.size.split("x"))
    model = sized(asked.depth, (h, w))
    print(f"```mermaid\n{chart(model)}\n```\n\n{total(model)}.")


if __name__ == "__main__":
    main()
