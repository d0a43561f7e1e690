"""What is done to a frame on the GPU: the twins of the stages, as kernels in order.

A step is a value: frames with equal steps are replayed by one recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Protocol

import numpy as np

from stream import blur, color, foreground, loops, segmenter
from stream.backends.choice import Network
from stream.frame import ColorTags, layout_of
from stream.gpu.device import Picture, There, Work
from stream.gpu.edges import along_edges, feathered, gaussian, grown, pixels_of
from stream.letterbox import Letterbox

_SUMMING_THREADS = 4096


class Place(Protocol):
    """Where one frame lies."""

    came: Picture
    """Its planes; cleaning changes them."""

    behind: Picture
    """What is behind it, of the same size."""

    composite: Picture
    alpha: There
    """(H, W), full size."""

    flags: There
    """Two ints: whether the network started anew, whether its answer is no number."""


class Step(Protocol):
    """A part of what is done to a frame."""

    def do(self, work: Work, place: Place) -> None:
        """Start its kernels."""
        ...


@dataclass(frozen=True)
class Shown:
    """Segmenter.segment, up to the network: the picture of the frame, and the matte before."""

    network: Network
    letterbox: Letterbox
    color: ColorTags
    format: str

    def do(self, work: Work, place: Place) -> None:
        """Fill the network's inputs; flags[0]."""
        (h, w), step = self.letterbox.input_hw, segmenter._GLIMPSE_STEP
        glimpse = work.array("glimpse", (-(-h // step), -(-w // step)), 3)
        state, addresses = state_of(work), self.network.addresses
        luma, chroma = place.came.luma, place.came.chroma
        image, alpha = (There.at(addresses[name], 1, (h, w), 4) for name in ("image", "alpha"))
        previous = work.array("previous", (h, w))
        if "previous" in addresses:
            previous = There.at(addresses["previous"], 1, (h, w), 4)
        content, layout = self.letterbox.content_hw, layout_of(self.format)
        assert layout is not None
        decoding = np.ascontiguousarray(color._decoding(self.color, layout))
        work.run(
            "thumbnail", (h, w), work.sized("luma", luma, content),
            work.sized("chroma", chroma, content),
            work.constant(decoding), image, h, w,
            *self.letterbox.origin, *content, glimpse, step, state,
        )  # fmt: skip
        cut = int(16 * segmenter._CUT * 3 * glimpse.hw[0] * glimpse.hw[1])
        work.run("remember", (1, h * w), alpha, previous, h * w, state, cut, place.flags)


@dataclass(frozen=True)
class Asked:
    """The network itself."""

    network: Network

    def do(self, work: Work, place: Place) -> None:
        """Run it."""
        self.network.enqueue(int(work.stream))


@dataclass(frozen=True)
class Refined:
    """MatteRefiner.refine, and whether the network's answer is a number."""

    network: Network
    letterbox: Letterbox
    is_sharp: bool
    grow_px: float
    feather_px: float

    def do(self, work: Work, place: Place) -> None:
        """Fill the frame's alpha; flags[1]."""
        hw = self.letterbox.input_hw
        answer = There.at(self.network.addresses["alpha"], 1, hw, 4)
        work.run("check", (1, hw[0] * hw[1]), answer, hw[0] * hw[1], state_of(work), place.flags)
        answer = answer.crop(self.letterbox.origin, self.letterbox.content_hw)
        if self.is_sharp:
            along_edges(work, place.came, answer, place.alpha)
        else:
            work.sized("matte", answer, place.alpha.hw, into=place.alpha)
            work.run("firm_ends", (1, pixels_of(place.alpha)), place.alpha, pixels_of(place.alpha))
        scale, edge = min(place.alpha.hw) / 720, place.alpha
        if self.grow_px:
            edge = grown(work, "grown", edge, self.grow_px * scale)
        if self.feather_px:
            edge = feathered(work, edge, self.feather_px * scale)
        if edge is not place.alpha:
            work.sized("edge", edge, edge.hw, into=place.alpha)


@dataclass(frozen=True)
class Cleaned:
    """foreground.clean, in place."""

    is_full_range: bool

    def do(self, work: Work, place: Place) -> None:
        """Change the colors where 0 < alpha < 1."""
        alpha, came = place.alpha, place.came
        scale = min(1.0, foreground._LINES / min(alpha.hw))
        h, w = (max(1, round(side * scale)) for side in alpha.hw)
        small, wide = work.array("small", (h, w), 4), work.array("wide", (h, w), 6)
        colors, least = work.array("colors", (h, w), 6), float(foreground._LEAST_WEIGHT)
        planes = came.luma, *alpha.hw, came.chroma, *came.chroma.hw
        work.run("sample", (h, w), alpha, *planes, small, h, w)
        work.run("wide_colors", (3, h, w), small, h, w, least, loops.WIDE_PX, wide)
        window = loops.NARROW_PX
        work.run("narrow_colors", (6, h, w), small, wide, h, w, least, window, colors)
        ends = ((0, 255), (0, 255)) if self.is_full_range else ((16, 235), (16, 240))
        near = colors.pictures(0, 2), colors.pictures(2, 4)
        for each, few, (low, high) in zip((came.luma, came.chroma), near, ends, strict=True):
            over = each.count, *each.hw
            work.run("clean", over, each, *each.hw, alpha, *alpha.hw, few, h, w, low, high)


@dataclass(frozen=True)
class OverPlanes:
    """composite with the planes that lie behind the frame."""

    def do(self, work: Work, place: Place) -> None:
        """Fill the composite."""
        _composite(work, place, place.behind)


@dataclass(frozen=True)
class OverBlur:
    """Blur.compose."""

    blur_px: float

    def do(self, work: Work, place: Place) -> None:
        """Fill the composite."""
        _composite(work, place, self._rooms(work, place))

    def _rooms(self, work: Work, place: Place) -> Picture:
        """blur._rooms."""
        sigma_px = self.blur_px * min(place.alpha.hw) / 720
        both = place.came.luma, place.came.chroma
        sizes = [_room_size(each.hw, place.alpha.hw, sigma_px) for each in both]
        (luma_hw, luma_sigmas), (chroma_hw, chroma_sigmas) = sizes
        if luma_hw == chroma_hw:
            room = _room(work, "room", place.alpha, both, luma_hw, luma_sigmas)
            return Picture(room.pictures(0, 1), room.pictures(1, 2))
        return Picture(
            _room(work, "luma room", place.alpha, both[:1], luma_hw, luma_sigmas),
            _room(work, "chroma room", place.alpha, both[1:], chroma_hw, chroma_sigmas),
        )


def state_of(work: Work) -> There:
    """What the GPU knows of the frame before; its second int, set to 1, makes it forget."""
    return work.array("state", (1, 3))


def _room_size(
    plane_hw: tuple[int, int], full_hw: tuple[int, int], sigma_px: float
) -> tuple[tuple[int, int], tuple[float, float]]:
    """The size at which a plane's room is blurred, and the sigmas there."""
    sigmas = [sigma_px * side / whole for side, whole in zip(plane_hw, full_hw, strict=True)]
    h, w = (ceil(side / blur._shrink(sigma)) for side, sigma in zip(plane_hw, sigmas, strict=True))
    y, x = sigmas[0] * (h / plane_hw[0]), sigmas[1] * (w / plane_hw[1])
    return (h, w), (max(y, 0.3), max(x, 0.3))


def _room(
    work: Work,
    name: str,
    alpha: There,
    planes: tuple[There, ...],
    hw: tuple[int, int],
    sigmas: tuple[float, float],
) -> There:
    """blur._Room.behind, for planes that are shrunk to one size."""
    count = sum(each.count for each in planes)
    small = work.array(f"{name} small", hw, count, 1)
    first = 0
    for each in planes:
        into = small.pictures(first, each.count)
        work.sized(f"{name} {first}", each, hw, into=into)
        first += each.count
    person = work.sized(f"{name} alpha", alpha, hw)
    weighted, sums = work.array(f"{name} weighted", hw, 1 + count), work.array("totals", (1, 7))
    work.run("weigh", hw, person, small, count, *hw, weighted, sums)
    summing = weighted, small, count, hw[0] * hw[1], _SUMMING_THREADS, sums
    work.run("sum_up", (1, _SUMMING_THREADS), *summing)
    y, x = (blur._kernel_side(sigma) // 2 for sigma in sigmas)
    blurred = gaussian(work, name, weighted, sigmas, (y, x))
    room = work.array(name, hw, count, 1)
    work.run("room", (count, *hw), blurred, count, *hw, sums, blur._LEAST, room)
    return room


def _composite(work: Work, place: Place, behind: Picture) -> None:
    """compose.composite."""
    alpha = place.alpha
    for own, far, target in (
        (place.came.luma, behind.luma, place.composite.luma),
        (place.came.chroma, behind.chroma, place.composite.chroma),
    ):
        given = own, *own.hw, far, *far.hw, alpha, *alpha.hw, target
        work.run("composite", (own.count, *own.hw), *given)
