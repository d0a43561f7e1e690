"""What becomes of a still picture in a call: the table of docs/network.md.

    python docs/still.py DATA [NETWORK…]

Needs requirements-train.txt. Shows held-back pictures of DATA again and again, as a camera does
where nobody moves, and scores the first, second, seventh and thirtieth matte. A network that
believes its own mattes too much grows worse from one to the next.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from stream.backends import open_backend
from stream.matte import MatteRefiner
from stream.segmenter import Segmenter
from stream.sources.pictures import read_picture
from train.collection import COMPOSITE, validation
from train.metrics import scores
from train.score import spread

TIMES = (1, 2, 7, 30)
PICTURES = 70  # of each group, at most


def main(data: Path, *networks: str) -> None:
    """Print tables in Markdown."""
    groups = {name: group for name, group in validation(data).items() if name != COMPOSITE}
    print("| network, time | " + " | ".join(groups) + " |")
    print("|---" * (len(groups) + 1) + "|")
    for network in networks or ("default", "small"):
        rows = {name: shown(network, spread(group, PICTURES)) for name, group in groups.items()}
        for time in TIMES:
            cells = ["{:.3f} / {:.3f}".format(*row[time]) for row in rows.values()]
            print(f"| {network}, {time} | {' | '.join(cells)} |", flush=True)


def shown(network: str, samples: list) -> dict[int, np.ndarray]:
    """The mean IoU and boundary F at each of the times."""
    backend, refiner = open_backend(network), MatteRefiner()
    rows = defaultdict(list)
    for sample in samples:
        frame, segmenter = read_picture(sample.image).frame, Segmenter(backend)
        _, mask, weight = sample.read()
        for time in range(1, max(TIMES) + 1):
            alpha = segmenter.segment(frame)
            if time in TIMES:
                row = scores(refiner.refine(alpha, frame), mask / np.float32(255), weight > 0)
                rows[time].append((row["iou"], row["boundary_f"]))
    return {time: np.mean(each, axis=0) for time, each in rows.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
