"""What may happen to a picture and its mask together: one random function each.

Every function takes an Example and a generator and returns an Example; what bends the picture
bends its mask and weight alike. Probabilities stand in `augment`, in the order things happen to
a webcam's picture: scene, framing, light, lens, sensor, compression.
"""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from train.letterbox import PADDING, letterbox
from train.sample import Example


def augment(example: Example, size: int, rng: Generator, share: float = 1.0) -> Example:
    """Frame the example as a (size, size) square and disturb it as webcams do.

    `share` scales the chance of everything but the mirror: with 0 it is the picture as it is.
    """
    is_whole = rng.random() < 1 - 0.7 * share
    example = letterboxed(example, size) if is_whole else crop(example, size, rng)
    if rng.random() < 0.5:
        example = flip(example)
    if rng.random() < 0.3 * share:
        example = rotate(example, rng)
    for chance, disturb in (
        (0.7, color),
        (0.1, low_light),
        (0.1, blur),
        (0.1, motion_blur),
        (0.15, noise),
        (0.2, jpeg),
        (0.03, gray),
    ):
        if rng.random() < chance * share:
            example = example._replace(image=disturb(example.image, rng))
    return example


def onto_room(example: Example, room: NDArray[np.uint8], rng: Generator) -> Example:
    """Put an example's people before another background, lit a little differently."""
    h, w = example.mask.shape
    room = _cover(room, (h, w), rng)
    alpha = example.mask[..., None].astype(np.float32) / 255
    image = alpha * example.image + (1 - alpha) * room
    return Example(image.astype(np.uint8), example.mask, np.full_like(example.weight, 255))


def add_cutout(example: Example, cutout: NDArray[np.uint8], rng: Generator) -> Example:
    """Paste an RGBA cut-out into the scene, standing on its lower border as people at desks do."""
    h, w = example.mask.shape
    scale = rng.uniform(0.45, 1.3) * h / cutout.shape[0]
    person = cv2.resize(cutout, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    left = round(rng.uniform(-0.3, 0.8) * w)
    top = h - round(person.shape[0] * rng.uniform(0.7, 1.0))
    moved = cv2.warpAffine(person, np.array([[1, 0, left], [0, 1, top]], np.float32), (w, h))
    alpha = moved[..., 3:].astype(np.float32) / 255
    image = alpha * moved[..., :3] + (1 - alpha) * example.image
    # Under the cut-out everything is known to be person, even inside a crowd.
    mask, weight = (np.maximum(plane, moved[..., 3]) for plane in (example.mask, example.weight))
    return Example(image.astype(np.uint8), mask, weight)


def occlude(example: Example, thing: NDArray[np.uint8], rng: Generator) -> Example:
    """Lay a part of a picture without people over the example: what one holds or sits behind."""
    h, w = example.mask.shape
    y, x = _anchor(example.mask, rng)
    axes = (max(2, int(w * rng.uniform(0.05, 0.25))), max(2, int(h * rng.uniform(0.05, 0.25))))
    shape = np.zeros((h, w), np.uint8)
    if rng.random() < 0.5:
        cv2.ellipse(shape, (int(x), int(y)), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    else:
        turned = ((x, y), (2.0 * axes[0], 2.0 * axes[1]), float(rng.uniform(0, 180)))
        cv2.fillConvexPoly(shape, np.rint(cv2.boxPoints(turned)).astype(np.int32), 255)
    cover = cv2.GaussianBlur(shape, (0, 0), 0.7)[..., None].astype(np.float32) / 255
    image = cover * _cover(thing, (h, w), rng) + (1 - cover) * example.image
    hidden = shape > 127
    mask, weight = np.where(hidden, 0, example.mask), np.where(hidden, 255, example.weight)
    return Example(image.astype(np.uint8), mask.astype(np.uint8), weight.astype(np.uint8))


def cutout_of(example: Example) -> NDArray[np.uint8] | None:
    """The people of an example as an RGBA cut-out, or None where there is nobody to speak of."""
    ys, xs = np.nonzero(example.mask > 127)
    if len(ys) < 0.02 * example.mask.size:
        return None
    part = slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1)
    # The truth's edge is hard; one as hard would teach that pasted people are the real ones.
    alpha = cv2.GaussianBlur(example.mask[part], (0, 0), 0.7)
    return np.dstack([example.image[part], alpha])


def letterboxed(example: Example, size: int) -> Example:
    """The whole picture, as the app shows it to the network; padding is background."""
    return Example(
        letterbox(example.image, (size, size)),
        letterbox(example.mask, (size, size), padding=0),
        letterbox(example.weight, (size, size), padding=255),
    )


def crop(example: Example, size: int, rng: Generator) -> Example:
    """Cut out a square, a little squeezed; outside the picture is padding.

    Often it cuts through a body and leaves out the head: hands that reach for the camera are
    people too.
    """
    h, w = example.mask.shape
    side = max(h, w) * rng.uniform(0.3, 1.05)
    squeeze = np.exp(rng.uniform(-0.12, 0.12))
    crop_h, crop_w = side * squeeze, side / squeeze
    y, x = _anchor(example.mask, rng)
    top = np.clip(y - crop_h * rng.uniform(0.2, 0.8), min(0, h - crop_h), max(0, h - crop_h))
    left = np.clip(x - crop_w * rng.uniform(0.2, 0.8), min(0, w - crop_w), max(0, w - crop_w))
    # Shrinking by more than a third would alias under bilinear sampling: soften first.
    sigma = max(0.0, 0.4 * (side / size - 1))
    scale_y, scale_x = size / crop_h, size / crop_w
    move = np.array([[scale_x, 0, -left * scale_x], [0, scale_y, -top * scale_y]])
    move[:, 2] += 0.5 * (np.array([scale_x, scale_y]) - 1)  # pixel centers lie at half steps
    return _warp(_soften(example, sigma), move, size)


def rotate(example: Example, rng: Generator) -> Example:
    """Tilt by up to 15 degrees, or lay people down; what turns in from outside is unknown."""
    size = example.mask.shape[0]
    center = ((size - 1) / 2, (size - 1) / 2)
    most = 90 if rng.random() < 0.2 else 15
    move = cv2.getRotationMatrix2D(center, rng.uniform(-most, most), rng.uniform(1.0, 1.2))
    return _warp(example, move, size)


def flip(example: Example) -> Example:
    """Mirror left and right."""
    return Example(*(np.ascontiguousarray(plane[:, ::-1]) for plane in example))


def color(image: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """Change brightness, contrast, gamma, white balance and saturation."""
    levels = np.arange(256, dtype=np.float32) / 255
    levels = levels ** np.exp(rng.uniform(-0.6, 0.6))
    levels = (levels - 0.5) * rng.uniform(0.6, 1.4) + 0.5 + rng.uniform(-0.18, 0.18)
    casts = np.exp(rng.uniform(-0.12, 0.12, 3))
    table = np.clip(levels[:, None] * casts * 255, 0, 255).astype(np.uint8)
    image = cv2.LUT(image, table[:, None, :])
    pale = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    saturation = rng.uniform(0.5, 1.4)
    return cv2.addWeighted(image, saturation, pale, 1 - saturation, 0)


def low_light(image: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """An evening room: dark, then raised by the camera's gain with its noise."""
    seen = image.astype(np.float32) * rng.uniform(0.12, 0.5)
    seen += rng.normal(0, rng.uniform(1, 4), image.shape)
    return np.clip(seen * rng.uniform(1, 2.5), 0, 255).astype(np.uint8)


def blur(image: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """A cheap lens or missed focus."""
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.8))


def motion_blur(image: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """A long exposure along a random direction."""
    length, angle = int(rng.integers(3, 10)), rng.uniform(0, np.pi)
    kernel = np.zeros((length, length), np.float32)
    reach = np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    start, end = ((length - 1) / 2 + sign * reach for sign in (-1, 1))
    cv2.line(kernel, np.rint(start).astype(int), np.rint(end).astype(int), 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def noise(image: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """Sensor noise, coarse or fine, colored or gray."""
    h, w, channels = image.shape
    coarse = int(rng.integers(1, 3))
    shape = (h // coarse, w // coarse, channels if rng.random() < 0.5 else 1)
    grain = rng.normal(0, rng.uniform(2, 14), shape).astype(np.float32)
    grain = cv2.resize(grain, (w, h)).reshape(h, w, -1)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def jpeg(image: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """Compress hard; the codec's own channel order does not matter for its blocks."""
    quality = int(rng.integers(20, 80))
    _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))


def gray(image: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """Infrared and black-and-white cameras have no color."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _anchor(mask: NDArray[np.uint8], rng: Generator) -> tuple[float, float]:
    """A point to crop around: mostly on a person, who would else be missing from many crops."""
    if rng.random() < 0.7:
        ys, xs = np.nonzero(mask > 127)
        if len(ys):
            pick = rng.integers(len(ys))
            return float(ys[pick]), float(xs[pick])
    h, w = mask.shape
    return rng.uniform(0, h), rng.uniform(0, w)


def _soften(example: Example, sigma: float) -> Example:
    if sigma < 0.1:
        return example
    image, mask = (cv2.GaussianBlur(plane, (0, 0), sigma) for plane in example[:2])
    return Example(image, mask, example.weight)


def _warp(example: Example, move: NDArray, size: int) -> Example:
    def moved(plane: NDArray, border: int, flags: int = cv2.INTER_LINEAR) -> NDArray:
        return cv2.warpAffine(plane, move, (size, size), flags=flags, borderValue=(border,) * 3)

    image, mask, weight = example
    return Example(moved(image, PADDING), moved(mask, 0), moved(weight, 0, cv2.INTER_NEAREST))


def _cover(room: NDArray[np.uint8], size_hw: tuple[int, int], rng: Generator) -> NDArray[np.uint8]:
    """Scale a room to cover the size, then cut a random window of it."""
    h, w = size_hw
    scale = max(h / room.shape[0], w / room.shape[1]) * rng.uniform(1.0, 1.4)
    big_wh = (max(w, round(room.shape[1] * scale)), max(h, round(room.shape[0] * scale)))
    big = cv2.resize(room, big_wh, interpolation=cv2.INTER_LINEAR)
    top, left = rng.integers(big_wh[1] - h + 1), rng.integers(big_wh[0] - w + 1)
    return big[top : top + h, left : left + w]
