"""ONNX → TensorRT engine, at one input shape, for either TensorRT.

Networks are strongly typed: the precision is the file's own, TensorRT chooses none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream.backends import BackendUnavailable
from stream.backends.flavor import Flavor, network_flags
from stream.backends.nvidia import GpuCard, remedy

_KEPT_LINES = 50  # of what TensorRT says; the errors are its last words
_CONTRACT = "image (1, H, W, 3) and previous (1, H, W, 1) in, alpha (1, H, W, 1) out"


class Said:
    """What TensorRT logged as errors, for messages of our own."""

    def __init__(self, flavor: Flavor) -> None:
        self.lines: list[str] = []
        lines, ears = self.lines, flavor.module.ILogger
        errors = (ears.Severity.ERROR, ears.Severity.INTERNAL_ERROR)

        class Listener(ears):  # type: ignore[misc, valid-type]
            """Hands over what is an error."""

            def log(self, severity: Any, words: str) -> None:
                """Called by TensorRT from its own threads."""
                if severity in errors:
                    lines.append(" ".join(words.split()))
                    del lines[:-_KEPT_LINES]

        self.logger = Listener()

    def made(self, wish: str, make: Callable[[], Any]) -> Any:
        """What TensorRT makes. Where it gives nothing, raises BackendUnavailable in its words."""
        try:
            thing = make()
        except (AttributeError, TypeError, RuntimeError) as error:  # bindings' words for nothing
            raise self._refusal(wish, str(error)) from error
        if thing is None or thing is False:
            raise self._refusal(wish, "it does not say why")
        return thing

    def _refusal(self, wish: str, otherwise: str) -> BackendUnavailable:
        words = self.lines[-1] if self.lines else otherwise
        return BackendUnavailable(
            f"cannot {wish}: {words}", remedy(" ".join([*self.lines, otherwise]))
        )


@dataclass(frozen=True)
class Facts:
    """What the app wants to know of a network."""

    input_hw: tuple[int, int]
    """The file's own input size."""

    looks_back: bool
    """Whether it takes the matte of the frame before."""

    precision: str
    """int8, fp16 or fp32: the least that flows between its layers."""


@dataclass
class Parsed:
    """A network as TensorRT understands it; the parser must outlive the network."""

    builder: Any
    network: Any
    parser: Any
    said: Said

    @property
    def facts(self) -> Facts:
        """What is worth keeping when the rest, which holds memory on the GPU, is let go."""
        _, h, w, _ = self.inputs["image"].shape
        return Facts((int(h), int(w)), "previous" in self.inputs, self._precision)

    @property
    def _precision(self) -> str:
        layers = (self.network.get_layer(number) for number in range(self.network.num_layers))
        kinds = {
            layer.get_output(slot).dtype.name
            for layer in layers
            for slot in range(layer.num_outputs)
        }
        small = {"INT8": "int8", "FP8": "fp8", "HALF": "fp16", "BF16": "bf16"}
        return next((said for kind, said in small.items() if kind in kinds), "fp32")

    def reshape(self, batch: int, input_hw: tuple[int, int]) -> None:
        """Take inputs of another size; -1 is a batch of any."""
        for tensor in self.inputs.values():
            tensor.shape = (batch, *input_hw, tensor.shape[3])

    @property
    def output_shape(self) -> tuple[int, ...] | None:
        """The shape of `alpha`; None where layers do not fit each other at this input size."""
        try:
            return tuple(self.network.get_output(0).shape)
        except RuntimeError:
            return None

    @property
    def inputs(self) -> dict[str, Any]:
        """The network's inputs by their names."""
        tensors = (self.network.get_input(each) for each in range(self.network.num_inputs))
        return {tensor.name: tensor for tensor in tensors}


def parse(network: Path, flavor: Flavor) -> Parsed:
    """Read an ONNX file. Raises BackendUnavailable, with the operator that TensorRT refuses."""
    trt, said = flavor.module, Said(flavor)
    builder = said.made(f"start {flavor.name} {flavor.version}", lambda: trt.Builder(said.logger))
    definition = builder.create_network(network_flags(flavor))
    parser = trt.OnnxParser(definition, said.logger)
    if not parser.parse(network.read_bytes()):
        why, what_to_do = _first_error(parser)
        raise BackendUnavailable(f"{flavor.name} refuses {network}: {why}", what_to_do)
    parsed = Parsed(builder, definition, parser, said)
    _check_contract(network, parsed)
    return parsed


def build(
    parsed: Parsed,
    largest: tuple[int, int, int],
    flavor: Flavor,
    card: GpuCard | None,
    timings: bytes,
) -> Built:
    """Build the engine for one input size and up to so many frames at once: (N, H, W).

    Raises BackendUnavailable.
    """
    batch, *input_hw = largest
    wanted = (1 if batch == 1 else -1, *input_hw, 1)
    parsed.reshape(wanted[0], (input_hw[0], input_hw[1]))
    if parsed.output_shape != wanted:
        raise BackendUnavailable(
            f"the network is nailed to one size: at input {wanted[:3]} its alpha is "
            f"{parsed.output_shape}, expected {wanted}",
            "make it anew with run.py export, or take --engine cpu",
        )
    config = parsed.builder.create_builder_config()
    config.clear_flag(flavor.module.BuilderFlag.TF32)  # fp32 means 32 bits; fp16 is there for speed
    if batch > 1:
        config.add_optimization_profile(_up_to(batch, parsed))
    flavor.prepare(config, card, timings)
    plan = parsed.said.made(
        f"build the engine with {flavor.name} {flavor.version}",
        lambda: parsed.builder.build_serialized_network(parsed.network, config),
    )
    return Built(bytes(plan), flavor.timings(config))


def _up_to(batch: int, parsed: Parsed) -> Any:
    """One frame at least; as many as there may be is what the engine is made fast for."""
    profile = parsed.builder.create_optimization_profile()
    for name, tensor in parsed.inputs.items():
        _, *shape = tensor.shape
        profile.set_shape(name, (1, *shape), (batch, *shape), (batch, *shape))
    return profile


@dataclass(frozen=True)
class Built:
    """A serialized engine, and what its build learned of the GPU."""

    engine: bytes
    timings: bytes


def _check_contract(network: Path, parsed: Parsed) -> None:
    inputs = {name: tuple(tensor.shape) for name, tensor in parsed.inputs.items()}
    definition = parsed.network
    outputs = [definition.get_output(each).name for each in range(definition.num_outputs)]
    channels = {name: shape[-1] for name, shape in inputs.items() if len(shape) == 4}
    fits = channels in ({"image": 3}, {"image": 3, "previous": 1}) and len(channels) == len(inputs)
    if not fits or outputs != ["alpha"]:
        raise BackendUnavailable(
            f"{network} takes {inputs} and gives {outputs}; expected is {_CONTRACT}",
            "make it with run.py export",
        )


def _first_error(parser: Any) -> tuple[str, str]:
    """The first thing that the parser minds, with its node and operator; and what to do."""
    what_to_do = "take --engine cpu, or a network without that operator"
    if not parser.num_errors:
        return "it does not say why", what_to_do
    error = parser.get_error(0)
    where = " ".join(filter(None, [error.node_operator(), error.node_name()]))
    why = error.desc().removeprefix("Assertion failed: ").rstrip(". ")
    if "UINT8" in why:
        what_to_do = (
            "the int8 networks of models/ are for processors; take --precision fp16, or make one "
            "for GPUs with run.py export NETWORK.keras OUT_DIR --precision int8"
        )
    return (f"{where}: {why}" if where else why), what_to_do
