"""ONNX → a model repository for NVIDIA's Triton server, which keeps the matte of the frame before.

https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/implicit_state_management.html
"""

import logging
from pathlib import Path

import onnx

from export import ExportError
from export.to_engine import plan_from_onnx
from export.to_onnx import beside
from stream.backends.nvidia import GpuCard

log = logging.getLogger(__name__)

MOST_AT_ONCE = 8  # frames, each of another sequence
_CALLS = 64  # sequences that take turns; further ones wait for one to end
_IDLE_S = 60  # a client that was silent for so long has to begin a new sequence

# `oldest` makes batches of whatever sequences have asked; `direct` would give each a place in the
# batch and run empty places as well, which needs a network that is told which are empty. A start
# needs no input of its own either: Triton begins with zeros.
_CONFIG = """\
# {title}
name: "{name}"
{runs_it}
max_batch_size: {most}
input [ {{ name: "image" data_type: TYPE_FP32 dims: [ {h}, {w}, 3 ] }} ]
output [ {{ name: "alpha" data_type: TYPE_FP32 dims: [ {h}, {w}, 1 ] }} ]
sequence_batching {{
  max_sequence_idle_microseconds: {idle_us}
  oldest {{ max_candidate_sequences: {calls} }}
  state [
    {{
      input_name: "previous"
      output_name: "alpha"
      data_type: TYPE_FP32
      dims: [ {h}, {w}, 1 ]
      initial_state: {{ name: "nobody" data_type: TYPE_FP32 dims: [ {h}, {w}, 1 ] zero_data: true }}
    }}
  ]
}}
"""


def repository_from_onnx(
    network: Path, name: str, size_hw: tuple[int, int], card: GpuCard | None
) -> list[Path]:
    """Lay folders beside the network as Triton wants them; the files that it runs.

    NAME is run by Triton's ONNX Runtime. NAME-tensorrt is there where TensorRT builds an engine:
    only TensorRT's own, on the GPU it is for; Triton does not take those of TensorRT-RTX.
    """
    files = [network.parent / name / "1" / "model.onnx"]
    _prepare(files[0], _config(name, 'backend: "onnxruntime"', network, size_hw))
    with beside(files[0]) as part:
        onnx.save(_for_batches(network), part)
    plan = plan_from_onnx(network, size_hw, card, MOST_AT_ONCE)
    if plan is None:
        log.info("%s: no engine for Triton: TensorRT itself builds one, on its GPU", network)
        return files
    served = f"{name}-tensorrt"
    files.append(network.parent / served / "1" / "model.plan")
    _prepare(files[1], _config(served, 'platform: "tensorrt_plan"', network, size_hw))
    _write(files[1], plan)
    return files


def _for_batches(network: Path) -> onnx.ModelProto:
    """The network with a first dimension that is free; its layers compute each row by itself."""
    proto = onnx.load(network)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    del proto.graph.value_info[:]
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _config(name: str, runs_it: str, network: Path, size_hw: tuple[int, int]) -> bytes:
    h, w = size_hw
    words = {"title": f"Made of {network.name} by run.py export --triton.", "name": name}
    numbers = {"most": MOST_AT_ONCE, "calls": _CALLS, "idle_us": _IDLE_S * 1_000_000}
    return _CONFIG.format(h=h, w=w, runs_it=runs_it, **words, **numbers).encode()


def _prepare(file: Path, config: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"cannot write to {file.parent}: {error.strerror}") from error
    _write(file.parent.parent / "config.pbtxt", config)


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}") from error
