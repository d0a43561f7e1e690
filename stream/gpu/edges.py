"""The twins of matte.py's functions: kernels in order, on arrays on the GPU."""

from __future__ import annotations

import cv2
import numpy as np

from stream import matte
from stream.gpu.device import Picture, There, Work


def along_edges(work: Work, came: Picture, answer: There, alpha: There) -> None:
    """matte.along_edges, with the firm ends."""
    luma, chroma = came.luma, came.chroma
    h, w = (
        max(1, min(side, few // matte._SHRINK))
        for side, few in zip(luma.hw, answer.hw, strict=True)
    )
    scales = work.constant(np.array([1, matte._CHROMA_GAIN], np.float32) / np.float32(255))
    guided = (
        work.sized("matte", answer, (h, w)),
        work.sized("luma", luma, (h, w)),
        work.sized("chroma", chroma, (h, w)),
        *(h, w, scales, matte._WINDOW_PX),
    )
    fitted, lines = work.array("fitted", (h, w), 5), work.array("lines", (h, w), 4)
    work.run("fit_lines", (h, w), *guided, matte._FLATNESS, fitted)
    work.run("smooth_lines", (h, w), *guided, fitted, lines)
    sums = work.array("sums", chroma.hw)
    work.run("chroma_lines", chroma.hw, chroma, *chroma.hw, lines, h, w, scales, sums)
    if chroma.hw != luma.hw:
        smooth = work.array("smooth sums", chroma.hw)
        work.run("smooth_chroma", chroma.hw, sums, *chroma.hw, smooth)
        sums = smooth
    given = luma, *luma.hw, lines, h, w, scales, sums, *chroma.hw, alpha
    work.run("luma_lines", luma.hw, *given)


def grown(work: Work, name: str, alpha: There, px: float) -> There:
    """matte.grown."""
    whole, part = divmod(abs(px), 1)
    near = _moved(work, f"{name} near", alpha, int(whole), px > 0)
    if part == 0:
        return near
    far = _moved(work, f"{name} far", alpha, int(whole) + 1, px > 0)
    between = work.array(name, alpha.hw)
    work.run("between", (1, pixels_of(alpha)), near, far, part, pixels_of(alpha), between)
    return between


def _moved(work: Work, name: str, alpha: There, radius: int, outward: bool) -> There:
    if radius == 0:
        return alpha
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    half_widths = work.constant((disk.sum(axis=1, dtype=np.int32) - 1) // 2)
    moved = work.array(name, alpha.hw)
    work.run("moved", alpha.hw, alpha, *alpha.hw, half_widths, radius, int(outward), moved)
    return moved


def feathered(work: Work, alpha: There, px: float) -> There:
    """matte.feathered."""
    pixels = pixels_of(alpha)
    if px < 0:
        room, person = work.array("room side", alpha.hw), work.array("person side", alpha.hw)
        work.run("other_side", (1, pixels), alpha, pixels, room)
        work.run("other_side", (1, pixels), feathered(work, room, -px), pixels, person)
        return person
    sigma = max(px / 2, 0.1)
    reach = round(8 * sigma + 1) // 2  # OpenCV's own choice for floats
    wide = grown(work, "feather", alpha, px)
    soft = gaussian(work, "feather", wide, (sigma, sigma), (reach, reach))
    softened = work.array("softened", alpha.hw)
    work.run("softened", (1, pixels), alpha, soft, pixels, softened)
    return softened


def gaussian(
    work: Work, name: str, maps: There, sigmas: tuple[float, float], reaches: tuple[int, int]
) -> There:
    """cv2.GaussianBlur by sigmas (y, x), with BORDER_REPLICATE."""
    for down in (0, 1):
        sigma, reach = sigmas[1 - down], reaches[1 - down]
        taps = work.constant(cv2.getGaussianKernel(2 * reach + 1, sigma, cv2.CV_32F)[reach:])
        blurred = work.array(f"{name} {down}", maps.hw, maps.count)
        over = maps.count, *maps.hw
        work.run("gaussian", over, maps, *maps.hw, taps, reach, down, blurred)
        maps = blurred
    return maps


def pixels_of(there: There) -> int:
    """Of one picture."""
    return there.hw[0] * there.hw[1]
