"""From the network's small matte to one of the frame's size, along the frame's own edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from stream import loops
from stream.compose import sized
from stream.frame import Alpha, Frame, Plane

# A sigmoid never quite says 0 or 1: without firm ends a breath of the old room lies over every
# new one, and the person's own pixels are never quite theirs.
_SURELY_BACKGROUND = 0.1
_SURELY_PERSON = 0.9

# The guided filter, measured in docs/edges.md.
_SHRINK = 2  # the lines are fitted on a picture of half the network's height and width
_WINDOW_PX = 7  # side of the windows they are fitted in, in that picture's pixels
_FLATNESS = 3e-4  # variance (of values 0-1) below which a window has no edge to follow
_CHROMA_GAIN = 2  # chroma spans about half of what luma does

Enlarge = Callable[[Alpha, Frame], Alpha]


class MatteRefiner:
    """Brings mattes to the frame's size, with the frame's edges and firm ends.

    `grow_px` keeps so much more around the person (negative: less), `feather_px` softens the edge
    over so much outside of the person (negative: inside); both in pixels at 720 lines. `enlarge`
    is `along_edges`, or `evenly`, which is faster and blind to the picture.
    """

    def __init__(
        self, grow_px: float = 0.0, feather_px: float = 0.0, enlarge: Enlarge | None = None
    ) -> None:
        self._grow_px, self._feather_px = grow_px, feather_px
        self._enlarge = enlarge or along_edges

    def refine(self, alpha: Alpha, frame: Frame) -> Alpha:
        """(h, w) of any size → (H, W) of the frame's: 0 up to 0.1, 1 from 0.9, linear between."""
        span = np.float32(_SURELY_PERSON - _SURELY_BACKGROUND)
        refined = self._enlarge((alpha - np.float32(_SURELY_BACKGROUND)) / span, frame)
        scale = min(frame.size_hw) / 720
        if self._grow_px:
            refined = grown(refined, self._grow_px * scale)
        if self._feather_px:
            refined = feathered(refined, self._feather_px * scale)
        return refined


def grown(alpha: Alpha, px: float) -> Alpha:
    """The matte with its edge moved outward by `px` pixels (negative: inward)."""
    whole, part = divmod(abs(px), 1)
    near = _moved(alpha, int(whole), outward=px > 0)
    if part == 0:
        return near
    far = _moved(alpha, int(whole) + 1, outward=px > 0)
    return near + np.float32(part) * (far - near)  # 1 and 0 stay exactly that


def _moved(alpha: Alpha, radius: int, outward: bool) -> Alpha:
    if radius == 0:
        return alpha
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(alpha, disk) if outward else cv2.erode(alpha, disk)


def feathered(alpha: Alpha, px: float) -> Alpha:
    """The matte with an edge that fades over about 2 · `px` outside of it (negative: inside).

    Outside, nothing of the person is lost; inside, nothing of the room is let in.
    """
    if px < 0:
        return 1 - feathered(1 - alpha, -px)
    soft = cv2.GaussianBlur(
        grown(alpha, px), (0, 0), max(px / 2, 0.1), borderType=cv2.BORDER_REPLICATE
    )
    return np.maximum(alpha, np.minimum(soft, 1))


def evenly(alpha: Alpha, frame: Frame) -> Alpha:
    """(h, w) of any size → (H, W) of the frame's, 0-1, whatever the picture shows."""
    return np.clip(sized(alpha, frame.size_hw), 0, 1)


def along_edges(alpha: Alpha, frame: Frame) -> Alpha:
    """(h, w) of any size → (H, W) of the frame's, 0-1, with the frame's own edges.

    The fast guided filter (He and Sun 2015, arXiv:1505.00996), guided by all of the frame's
    planes: in every window of a small picture the matte is taken as a sum of gain * plane, plus
    an offset; gains and offsets are enlarged, and the full-size planes give the matte its edges.
    """
    h, w = frame.size_hw
    small_hw = (
        max(1, min(h, alpha.shape[0] // _SHRINK)),
        max(1, min(w, alpha.shape[1] // _SHRINK)),
    )
    scales = _scales(frame)
    guides = [
        sized(plane, small_hw).astype(np.float32) * np.float32(scale)
        for plane, scale in zip(frame.planes, scales, strict=True)
    ]
    gains, offset = _lines(sized(alpha, small_hw), guides)
    # The smaller planes first: of 4:2:0, two thirds of the work is done at a quarter.
    terms = sorted(zip(frame.planes, gains, scales, strict=True), key=lambda term: term[0].size)
    refined, before_hw = offset, terms[0][0].shape
    for plane, gain, scale in terms:
        if plane.shape != before_hw:
            # Compressed chroma comes in steps, which unsmoothed are stairs in the matte's outline.
            refined, before_hw = cv2.blur(refined, (3, 3)), plane.shape
        ends = (0.0, 1.0) if plane is terms[-1][0] else (-np.inf, np.inf)
        refined = _weighed(plane, gain * np.float32(scale), refined, *ends)
    return refined


def _weighed(plane: Plane, gain: Alpha, rest: Alpha, low: float, high: float) -> Alpha:
    """gain * plane + rest, both enlarged to the plane's size; in height, as the sum is made."""
    h, w = plane.shape
    gain, rest = (
        values if values.shape[1] == w else cv2.resize(values, (w, len(values)))
        for values in (gain, rest)
    )
    summed = np.empty((h, w), np.float32)
    axes = loops.axis(len(gain), h), loops.axis(len(rest), h)
    loops.weigh(loops.plain(plane), gain, axes[0], rest, axes[1], low, high, summed)
    return summed


def _scales(frame: Frame) -> list[float]:
    """What brings the stored values of each plane to about 0-1."""
    unit = 1 / ((1 << frame.layout.depth) - 1)
    chroma = _CHROMA_GAIN if frame.layout.family == "yuv" else 1
    return [unit * (chroma if number else 1) for number in range(len(frame.planes))]


def _lines(alpha: Alpha, guides: Sequence[Alpha]) -> tuple[list[Alpha], Alpha]:
    """(h, w) gain of each guide, and the offset, that fit the matte window by window."""
    means, mean_alpha = [_mean(guide) for guide in guides], _mean(alpha)
    matrix = [
        [_mean(guides[row] * guides[column]) - means[row] * means[column] for column in range(row)]
        + [_mean(guides[row] * guides[row]) - means[row] * means[row] + np.float32(_FLATNESS)]
        for row in range(len(guides))
    ]
    wanted = [_mean(g * alpha) - mean * mean_alpha for g, mean in zip(guides, means, strict=True)]
    gains = solved(matrix, wanted)
    explained = _sum_of_products(gains, wanted)
    offset = _mean(mean_alpha - _sum_of_products(gains, means))
    gains = [_mean(gain) for gain in gains]
    # Where the person has the room's color, no line explains the matte, and the windows' means
    # would spread its edge over a hand's width: there, what is missing is put back.
    variance = _mean(alpha * alpha) - mean_alpha * mean_alpha + np.float32(_FLATNESS)
    blindness = np.square(1 - _mean(np.clip(explained / variance, 0, 1)))
    missing = alpha - _sum_of_products(gains, guides) - offset
    return gains, offset + blindness * missing


def _sum_of_products(left: Sequence[Alpha], right: Sequence[Alpha]) -> Alpha:
    return np.sum([one * other for one, other in zip(left, right, strict=True)], axis=0)


def solved(matrix: list[list[Alpha]], wanted: list[Alpha]) -> list[Alpha]:
    """The solutions of symmetric systems, one for each pixel, by elimination from the last row.

    `matrix` is the lower triangle, and is used up. For 96×176 pixels and three guides this takes
    0.1 ms, numpy.linalg.solve 2.4.
    """
    solution = list(wanted)
    for pivot in range(len(matrix) - 1, -1, -1):
        for row in range(pivot):
            factor = matrix[pivot][row] / matrix[pivot][pivot]
            for column in range(row + 1):
                matrix[row][column] = matrix[row][column] - factor * matrix[pivot][column]
            solution[row] = solution[row] - factor * solution[pivot]
    for row in range(len(matrix)):
        for column in range(row):
            solution[row] = solution[row] - matrix[row][column] * solution[column]
        solution[row] = solution[row] / matrix[row][row]
    return solution


def _mean(values: Alpha) -> Alpha:
    return cv2.blur(values, (_WINDOW_PX, _WINDOW_PX))
