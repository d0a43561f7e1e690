"""What the matte's way to full size gains and costs, and the cleaning of colors at the edge.

    python docs/edges.py DATA [COUNT]

DATA holds `people/val` (images, masks), `clips/composite` (frames, masks), `cutouts` (RGBA) and
`backgrounds/rooms`, `backgrounds/places`. Scenes are cutouts pasted on rooms, so that alpha and
colors are known; at most COUNT pictures of a kind are taken (60). Times are of one thread.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from stream import foreground, matte
from stream.backends import open_backend
from stream.color import planes_of, rgb_of
from stream.compose import composite
from stream.cover import cover
from stream.frame import ColorTags, Frame, Matrix, Primaries, Transfer
from stream.networks import network_file
from stream.segmenter import Segmenter
from stream.sources.pictures import read_picture
from train.metrics import boundary_f, grad, iou, mad, mse

BT709 = ColorTags(Matrix.BT709, False, Primaries.BT709, Transfer.BT709)
EMPTY = Frame((), "yuv420p", BT709, 0, Fraction(1, 30), 0)
SIZES_HW = ((480, 640), (720, 1280))
NOISE = 0.008  # of a webcam in fair light, as a part of the largest value
WARM_UP, PASSES = 30, 200
MATTES = {
    "plain": None,
    "luma alone": {"planes": 1, "_SHRINK": 1, "_WINDOW_PX": 5, "_FLATNESS": 1e-3},
    "color, network's size, 5": {"_SHRINK": 1, "_WINDOW_PX": 5},
    "color, network's size, 13": {"_SHRINK": 1, "_WINDOW_PX": 13},
    "color, half, 5": {"_WINDOW_PX": 5},
    "color, half, 7 (in use)": {},
    "color, half, 9": {"_WINDOW_PX": 9},
    "color, a third, 5": {"_SHRINK": 3, "_WINDOW_PX": 5},
    "flatness 1e-3": {"_FLATNESS": 1e-3},
    "flatness 1e-4": {"_FLATNESS": 1e-4},
    "chroma as it is": {"_CHROMA_GAIN": 1},
    "ends 0.05, 0.95": {"_SURELY_BACKGROUND": 0.05, "_SURELY_PERSON": 0.95},
    "ends 0.2, 0.8": {"_SURELY_BACKGROUND": 0.2, "_SURELY_PERSON": 0.8},
}
CLEANINGS = {
    "as it came": None,
    "120 lines, 9, 3 (in use)": {},
    "120 lines, 5, 3": {"_WIDE_PX": 5},
    "120 lines, 19, 3": {"_WIDE_PX": 19},
    "120 lines, 9, 5": {"_NARROW_PX": 5},
    "180 lines, 15, 3": {"_LINES": 180, "_WIDE_PX": 15},
    "360 lines, 27, 3": {"_LINES": 360, "_WIDE_PX": 27},
}


@dataclass
class Shot:
    """A frame, the network's small matte of it, and the truth."""

    frame: Frame
    small: np.ndarray
    alpha: np.ndarray
    person: np.ndarray | None = None  # (H, W, 3) R'G'B' 0-1
    new_room: np.ndarray | None = None


@contextmanager
def settings(module: object, values: dict) -> Iterator[None]:
    before = {name: getattr(module, name) for name in values}
    for name, value in values.items():
        setattr(module, name, value)
    yield
    for name, value in before.items():
        setattr(module, name, value)


def scenes(data: Path, size_hw: tuple[int, int], segmenter: Segmenter, count: int) -> list[Shot]:
    rng, shots = np.random.default_rng(0), []
    rooms = [
        p for kind in ("rooms", "places") for p in sorted((data / "backgrounds" / kind).iterdir())
    ]
    cutouts = sorted((data / "cutouts").glob("*.png"))
    for number in rng.permutation(len(cutouts))[:count]:
        room, new_room = (covering(rooms[rng.integers(len(rooms))], size_hw) for _ in range(2))
        person, alpha = pasted(cutouts[number], size_hw, rng)
        shown = mixed(alpha, person, room) + rng.normal(0, NOISE, person.shape)
        frame = stored(np.clip(shown, 0, 1))
        shots.append(Shot(frame, seen(segmenter, frame), alpha, person, new_room))
    return shots


def covering(path: Path, size_hw: tuple[int, int]) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    return cover(image, EMPTY.with_planes((np.empty(size_hw, np.uint8),))) / np.float32(255)


def pasted(path: Path, size_hw: tuple[int, int], rng: np.random.Generator):
    """(H, W, 3) colors and (H, W) alpha of a person 0.7 to 1.3 times as tall as the frame."""
    rgba = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., [2, 1, 0, 3]] / np.float32(255)
    rows, columns = (np.flatnonzero((rgba[..., 3] > 0.05).any(axis)) for axis in (1, 0))
    rgba = rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    rgba = np.pad(rgba, ((8, 0), (8, 8), (0, 0)))
    seen = (rgba[..., 3:] > 0.02).astype(np.float32)  # colors of what is not seen are made up
    near = cv2.GaussianBlur(rgba[..., :3] * seen, (0, 0), 3) / (
        cv2.GaussianBlur(seen, (0, 0), 3)[..., None] + 1e-6
    )
    rgba[..., :3] = np.where(seen > 0, rgba[..., :3], near)
    scale = min(
        rng.uniform(0.7, 1.3) * size_hw[0] / rgba.shape[0], 0.9 * size_hw[1] / rgba.shape[1]
    )
    rgba = np.clip(cv2.resize(rgba, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), 0, 1)
    h, w = min(rgba.shape[0], size_hw[0]), rgba.shape[1]
    placed, left = np.zeros((*size_hw, 4), np.float32), rng.integers(0, size_hw[1] - w + 1)
    placed[size_hw[0] - h :, left : left + w] = rgba[:h]
    alpha = np.clip((placed[..., 3] - 0.02) / 0.96, 0, 1)
    return placed[..., :3], alpha


def mixed(alpha: np.ndarray, person: np.ndarray, room: np.ndarray) -> np.ndarray:
    return room + alpha[..., None] * (person - room)


def stored(rgb: np.ndarray) -> Frame:
    like = EMPTY.with_planes((np.empty(rgb.shape[:2], np.uint8),))
    return like.with_planes(planes_of(np.ascontiguousarray(rgb, np.float32), like))


def pictures(images: Path, masks: Path, kind: str, segmenter: Segmenter, count: int) -> list[Shot]:
    shots = []
    for path in sorted(images.glob(f"{kind}*"))[:count]:
        mask = cv2.imread(str(next(masks.glob(f"{path.stem}.*"))), cv2.IMREAD_GRAYSCALE)
        frame = read_picture(path).frame
        shots.append(Shot(frame, seen(segmenter, frame), mask / np.float32(255)))
    return shots


def seen(segmenter: Segmenter, frame: Frame) -> np.ndarray:
    segmenter.forget()  # no picture follows another
    return segmenter.segment(frame).copy()


def refined(shot: Shot, values: dict | None) -> np.ndarray:
    if values is None:
        return matte.MatteRefiner(enlarge=matte.evenly).refine(shot.small, shot.frame)
    frame = shot.frame
    if "planes" in values:
        frame = frame.with_planes(frame.planes[:1], "gray")
    with settings(matte, {name: value for name, value in values.items() if name != "planes"}):
        return matte.MatteRefiner().refine(shot.small, frame)


def matte_scores(shot: Shot, alpha: np.ndarray) -> tuple[float, ...]:
    known = np.ones(alpha.shape, bool)
    sure, truth = alpha >= 0.5, shot.alpha >= 0.5
    differences = (1000 * score(alpha, shot.alpha, known) for score in (mad, mse))
    return (
        iou(sure, truth),
        boundary_f(sure, truth),
        *differences,
        grad(alpha, shot.alpha, known),
    )


def color_scores(shot: Shot, alpha: np.ndarray, values: dict | None) -> tuple[float, ...]:
    """MSE and mean difference (of 0-1, in thousandths) from the true composites on a new room, on
    saturated green and near white, and from the person's true colors; all at the true edge."""
    assert shot.person is not None and shot.new_room is not None
    frame = shot.frame
    if values is not None:
        with settings(foreground, values):
            frame = foreground.clean(frame, alpha)
    h, w = frame.size_hw
    edge = (shot.alpha > 0) & (shot.alpha < 1)
    around = cv2.dilate(edge.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    flat = [np.full((h, w, 3), color, np.float32) for color in ((0, 0.69, 0.25), (0.95,) * 3)]
    row: list[float] = []
    for room in (shot.new_room, *flat):
        truth = stored(mixed(shot.alpha, shot.person, room))
        composed = composite(frame, stored(room).planes, alpha)
        apart = (rgb_of(composed, (h, w)) - rgb_of(truth, (h, w)))[around]
        row += [1000 * float(np.square(apart).mean()), 1000 * float(np.abs(apart).mean())]
    colors = rgb_of(frame, (h, w)) - shot.person
    return (*row, 1000 * float(np.square(colors)[edge & (shot.alpha > 0.05)].mean()))


def show(title: str, head: str, rows: dict[str, list[tuple[float, ...]]]) -> None:
    count = len(next(iter(rows.values())))
    print(f"\n{title}, {count} pictures\n{'':26s}{head}")
    if count == 0:
        return
    for name, scores in rows.items():
        print(f"{name:26s}" + "".join(f"{v:9.3f}" for v in np.mean(scores, 0)), flush=True)


def times_ms(shot: Shot) -> None:
    """One stage after the other, p50 and p95; processor time too, for a busy machine."""
    refiner, even = matte.MatteRefiner(), matte.MatteRefiner(enlarge=matte.evenly)
    alpha = refiner.refine(shot.small, shot.frame)
    edge = 100 * float(((alpha > 0) & (alpha < 1)).mean())
    stages: dict[str, Callable[[], object]] = {
        "matte, plain": lambda: even.refine(shot.small, shot.frame),
        "matte, along edges": lambda: refiner.refine(shot.small, shot.frame),
        "colors cleaned": lambda: foreground.clean(shot.frame, alpha),
    }
    print(f"\nms at {shot.frame.size_hw}, {edge:.1f} % edge: wall p50, p95; processor p50, p95")
    for name, stage in stages.items():
        spent = []
        for _ in range(WARM_UP + PASSES):
            began = time.perf_counter(), time.thread_time()
            stage()
            spent.append((time.perf_counter() - began[0], time.thread_time() - began[1]))
        wall, busy = 1000 * np.percentile(spent[WARM_UP:], (50, 95), axis=0).T
        print(f"{name:26s}" + "".join(f"{v:9.2f}" for v in (*wall, *busy)))


def main() -> None:
    data, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 60
    cv2.setNumThreads(1)
    segmenter = Segmenter(open_backend(network_file("default", "fp32")))
    people, heads = data / "people" / "val", data / "clips" / "composite"
    sets = {f"scenes {w}×{h}": scenes(data, (h, w), segmenter, count) for h, w in SIZES_HW}
    for name, shots in sets.items():
        known = [s for s in shots if iou(refined(s, {}) >= 0.5, s.alpha >= 0.5) >= 0.94]
        for title, of, some in (
            (f"{name}, true alpha", lambda shot: shot.alpha, shots[: count // 3]),
            (f"{name}, network's alpha", lambda shot: refined(shot, {}), known),
        ):
            rows = {k: [color_scores(s, of(s), v) for s in some] for k, v in CLEANINGS.items()}
            head = "  MSE new     MAD  MSE grn     MAD  MSE wht     MAD  MSE F"
            show(f"colors, {title}", head, rows)
    for kind in ("portrait_apm", "supervisely", "celebamask1000"):
        sets[kind] = pictures(people / "images", people / "masks", kind, segmenter, count)
    sets["talking heads"] = pictures(heads / "frames", heads / "masks", "", segmenter, count)
    for name, shots in sets.items():
        rows = {k: [matte_scores(s, refined(s, v)) for s in shots] for k, v in MATTES.items()}
        show(f"mattes, {name}", "      IoU        F      MAD      MSE     Grad", rows)
    shots = sets["scenes 1280×720"]
    edges = [float((refined(s, {}) % 1 > 0).mean()) for s in shots]
    times_ms(shots[int(np.argsort(edges)[len(edges) // 2])])


if __name__ == "__main__":
    main()
