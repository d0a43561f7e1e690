"""What the second look at stills gives and costs: the table of docs/network.md.

    python docs/looks.py DATA [NETWORK.onnx]

Needs requirements-train.txt. Scores every held-back still of DATA with one look, with two, and with
two of which the second comes no closer.
"""

import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from stream import second_look
from stream.backends import open_backend
from stream.matte import MatteRefiner
from stream.networks import RECORDED_AREAS
from stream.second_look import TwiceSegmenter
from stream.segmenter import Segmenter
from stream.sources.pictures import read_picture
from train.collection import COMPOSITE, validation
from train.metrics import boundary_f, iou
from train.sample import Sample

CLOSER = (
    second_look._MOST
)  # of the picture: with 0, no window is small enough to be looked at alone
WAYS = {
    "one": (Segmenter, CLOSER),
    "mirrored": (TwiceSegmenter, 0.0),
    "mirrored and closer": (TwiceSegmenter, CLOSER),
}


def main(data: Path, network: str = "default") -> None:
    """Print a table in Markdown."""
    backend, refiner = open_backend(network, RECORDED_AREAS["person"]), MatteRefiner()
    rows: dict[str, dict[str, list[tuple[float, float]]]] = {way: defaultdict(list) for way in WAYS}
    spent_ms: dict[str, list[float]] = defaultdict(list)
    groups = {name: group for name, group in validation(data).items() if name != COMPOSITE}
    for name, group in groups.items():
        for sample in group:
            frame = read_picture(sample.image).frame
            for way, (kind, second_look._MOST) in WAYS.items():
                segmenter = kind(backend)
                segmenter.segment(frame)  # warm-up: its shape may be new to the engine
                segmenter.forget()
                began = time.perf_counter()
                alpha = segmenter.segment(frame)
                assert alpha is not None, "a picture is no stand-in"
                alpha = refiner.refine(alpha, frame)
                spent_ms[way].append(1000 * (time.perf_counter() - began))
                rows[way][name].append(scored(alpha, sample))
    print("| looks | " + " | ".join(groups) + " | ms |")
    print("|---" * (len(groups) + 2) + "|")
    for way, by_group in rows.items():
        cells = ["{:.4f} / {:.4f}".format(*np.mean(by_group[name], axis=0)) for name in groups]
        print(f"| {way} | {' | '.join(cells)} | {np.median(spent_ms[way]):.1f} |")


def scored(alpha: np.ndarray, sample: Sample) -> tuple[float, float]:
    """IoU and boundary F at 0.5."""
    _, mask, weight = sample.read()
    known = weight > 0
    predicted, wanted = (alpha >= 0.5) & known, (mask > 127) & known
    return iou(predicted, wanted), boundary_f(predicted, wanted)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
