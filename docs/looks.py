"""What the second look at stills gives and costs: the table of docs/network.md.

    python docs/looks.py DATA [NETWORK]

Needs requirements-train.txt. Scores every held-back still of DATA with one look, with two, and with
two of which the second comes no closer or steps no further back.
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
from stream.networks import recorded_area
from stream.second_look import TwiceSegmenter
from stream.segmenter import Segmenter
from stream.sources.pictures import read_picture
from train.collection import COMPOSITE, validation
from train.metrics import scores

# With 0, no window is small enough to be looked at alone; filled by 1, nothing gets smaller.
CLOSER, FURTHER = second_look._MOST, second_look._FILL
WAYS = {
    "one": (Segmenter, CLOSER, FURTHER),
    "mirrored": (TwiceSegmenter, 0.0, 1.0),
    "mirrored and closer": (TwiceSegmenter, CLOSER, 1.0),
    "mirrored, closer or further": (TwiceSegmenter, CLOSER, FURTHER),
}


def main(data: Path, network: str = "default") -> None:
    """Print a table in Markdown."""
    backend, refiner = open_backend(network, recorded_area(network)), MatteRefiner()
    rows: dict[str, dict[str, list[tuple[float, float]]]] = {way: defaultdict(list) for way in WAYS}
    spent_ms: dict[str, list[float]] = defaultdict(list)
    groups = {name: group for name, group in validation(data).items() if name != COMPOSITE}
    for name, group in groups.items():
        for sample in group:
            frame = read_picture(sample.image).frame
            _, mask, weight = sample.read()
            for way, (kind, most, fill) in WAYS.items():
                second_look._MOST, second_look._FILL = most, fill
                segmenter = kind(backend)
                segmenter.segment(frame)  # warm-up: its shape may be new to the engine
                segmenter.forget()
                began = time.perf_counter()
                alpha = segmenter.segment(frame)
                assert alpha is not None, "a picture is no stand-in"
                alpha = refiner.refine(alpha, frame)
                spent_ms[way].append(1000 * (time.perf_counter() - began))
                row = scores(alpha, mask / np.float32(255), weight > 0)
                rows[way][name].append((row["iou"], row["boundary_f"]))
    print("| looks | " + " | ".join(groups) + " | ms |")
    print("|---" * (len(groups) + 2) + "|")
    for way, by_group in rows.items():
        cells = ["{:.4f} / {:.4f}".format(*np.mean(by_group[name], axis=0)) for name in groups]
        print(f"| {way} | {' | '.join(cells)} | {np.median(spent_ms[way]):.1f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
