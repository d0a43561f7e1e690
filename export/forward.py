"""What one forward pass of a network costs: all in one process and engine, in turns."""

import time
from pathlib import Path

import numpy as np

from export import ExportError
from export.scoreboard import ForwardPass
from stream.backends.ov import openvino
from stream.letterbox import input_hw_for

# f32, as the app asks for: left alone, OpenVINO picks bf16 on processors where that is slower.
# 8-bit networks stay 8-bit. Two threads whatever the machine has, so that ratios carry over.
HINTS = {
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32",
    "INFERENCE_NUM_THREADS": 2,
}
SHOWN_HW = ((1, 1), (9, 16))  # ours takes an input of its area in the frame's shape
TURNS, WARM_UP_TURNS, PASSES = 40, 8, 5

Requests = dict[tuple[str, tuple[int, int]], "openvino.InferRequest"]  # by name and input size


def forward_passes(requests: Requests) -> list[ForwardPass]:
    """Time networks in turns, so that whatever else the machine does disturbs all alike."""
    spent_ns: dict[tuple[str, tuple[int, int]], list[int]] = {key: [] for key in requests}
    for turn in range(TURNS):
        for key, request in requests.items():
            for _ in range(PASSES):
                began_ns = time.perf_counter_ns()
                request.infer()
                if turn >= WARM_UP_TURNS:
                    spent_ns[key].append(time.perf_counter_ns() - began_ns)
    return [
        ForwardPass(*key, *(float(ns) / 1e6 for ns in np.percentile(taken, (50, 95))))
        for key, taken in spent_ns.items()
    ]


def requests_of(network: Path) -> Requests:
    """Our network, at the input sizes that it takes for square and for 16:9 frames."""
    model = read_model(network)
    _, h, w, _ = model.input("image").shape
    requests = {}
    for input_hw in dict.fromkeys(input_hw_for(shown_hw, h * w) for shown_hw in SHOWN_HW):
        model.reshape(
            {each.any_name: [1, *input_hw, each.partial_shape[3]] for each in model.inputs}
        )
        requests[network.stem, input_hw] = compiled(model)
    return requests


def compiled(model: "openvino.Model") -> "openvino.InferRequest":
    """A network ready to run on two threads, noise in its inputs."""
    request = openvino.Core().compile_model(model, "CPU", HINTS).create_infer_request()
    rng = np.random.default_rng(0)
    for tensor in request.input_tensors:
        tensor.data[:] = rng.random(tensor.shape, np.float32)
    return request


def read_model(network: Path) -> "openvino.Model":
    """Read a network file. Raises ExportError where OpenVINO cannot."""
    try:
        return openvino.Core().read_model(network)
    except RuntimeError as error:
        last = [line.strip() for line in str(error).splitlines() if line.strip()][-1]
        raise ExportError(f"cannot read the network {network}: {last}") from error
