"""Processor time a frame of one network in OpenVINO, by how many frames are run at once.

    python docs/batches.py models/person.int8.onnx

Sizes of batch take turns, so that whatever else the machine does disturbs all alike. Processor time
is what is compared: it hardly depends on what else runs. Whether the answers are the same is told
as well.
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from stream.backends.ov import openvino as ov
from stream.letterbox import input_hw_for
from stream.networks import RECORDED_AREAS

BATCHES, FRAMES, TURNS, WARM_UP = (1, 2, 4, 8), 8, 42, 2
HINTS = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}


def compiled(network: Path, batch: int, hw: tuple[int, int]) -> ov.InferRequest:
    core = ov.Core()
    model = core.read_model(network)
    channels = {"image": 3, "previous": 1}
    model.reshape({name: [batch, *hw, count] for name, count in channels.items()})
    return core.compile_model(model, "CPU", HINTS).create_infer_request()


def answers(request: ov.InferRequest, batch: int, shown: dict[str, np.ndarray]) -> np.ndarray:
    alphas = []
    for row in range(0, FRAMES, batch):
        for name, values in shown.items():
            part = np.ascontiguousarray(values[row : row + batch])
            request.set_tensor(name, ov.Tensor(part, shared_memory=True))
        request.infer()
        alphas.append(request.get_output_tensor().data.copy())
    return np.concatenate(alphas)


def main(network: Path) -> None:
    hw, rng = input_hw_for((9.0, 16.0), RECORDED_AREAS["person"]), np.random.default_rng(0)
    sides = {"image": (3, 255), "previous": (1, 1)}
    shown = {
        name: rng.uniform(0, top, (FRAMES, *hw, count)).astype(np.float32)
        for name, (count, top) in sides.items()
    }
    requests = {batch: compiled(network, batch, hw) for batch in BATCHES}
    spent_ms: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    said = {}
    for _ in range(TURNS):
        for batch, request in requests.items():
            began = time.process_time()
            said[batch] = answers(request, batch, shown)
            spent_ms[batch].append((time.process_time() - began) * 1000 / FRAMES)
    for batch, spent in spent_ms.items():
        apart = np.abs(said[batch] - said[1]).max()
        median = statistics.median(spent[WARM_UP:])
        print(f"{batch} at once: {median:.1f} ms a frame; answers {apart:.2g} from one by one")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
