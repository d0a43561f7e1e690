"""TwiceSegmenter: stills can wait, so the network sees each of them twice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose import sized
from stream.frame import Alpha, Frame
from stream.segmenter import Segmenter

_PERHAPS_PERSON = 0.4
_SPECK = 20  # pixels of the matte; so few are nobody
_MARGIN = 0.15  # of the people's height and width, on each side: what is beside them tells much
_MOST = 0.9  # of the picture's height and width; a window of more shows hardly more detail
_LEAST = 0.25  # of them; in less of most pictures there is nothing more to be seen
_FILL = 0.7  # of the input's sides: half the pixels, where people leave no room to come closer


class TwiceSegmenter(Segmenter):
    """For pictures that have nothing to do with each other: the mean of two looks at each.

    The second is at the mirror image, as networks are seldom wrong in the same way about both
    (Simonyan and Zisserman 2014, arXiv:1409.1556, section 3.2). It comes closer where people leave
    room around them, and else steps back: those who fill a picture are whole from further away.
    """

    def segment(self, frame: Frame) -> Alpha | None:
        """As Segmenter.segment(), of whichever size shows what was seen."""
        self.forget()
        far = super().segment(frame)
        if far is None:
            return None
        window = Window.around_people(far, frame.size_hw)
        self.forget()
        second = self._look(
            window.mirrored_part(frame), _FILL if window.hw == frame.size_hw else 1.0
        )
        return window.mean(far, np.ascontiguousarray(second[:, ::-1]), frame.size_hw)


@dataclass(frozen=True)
class Window:
    """A part of a picture, in its pixels."""

    rows: slice
    columns: slice

    @classmethod
    def around_people(cls, alpha: Alpha, size_hw: tuple[int, int]) -> Window:
        """Where the matte (h, w) sees people, or the whole picture.

        It is of the picture's shape: engines need up to a second to get ready for another.
        """
        seen = alpha > _PERHAPS_PERSON
        spans = [_span(seen, axis) for axis in (0, 1)]
        share = max(_LEAST, (1 + 2 * _MARGIN) * max(stop - start for start, stop in spans))
        if share > _MOST or np.count_nonzero(seen) < _SPECK:
            return cls(slice(0, size_hw[0]), slice(0, size_hw[1]))
        parts = []
        for side, (start, stop) in zip(size_hw, spans, strict=True):
            length = round(share * side)
            first = round((start + stop) / 2 * side - length / 2)
            first = min(max(0, first), side - length)
            parts.append(slice(first, first + length))
        return cls(*parts)

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def mirrored_part(self, frame: Frame) -> Frame:
        """What the window shows of a frame without subsampled planes, left and right exchanged.

        Its pixels are so much off square that it has the frame's shape to the last digit.
        """
        planes = tuple(
            np.ascontiguousarray(plane[self.rows, self.columns][:, ::-1]) for plane in frame.planes
        )
        (whole_h, whole_w), (h, w) = frame.size_hw, self.hw
        aspect = frame.pixel_aspect * Fraction(whole_w * h, whole_h * w)
        return replace(frame, planes=planes, pixel_aspect=aspect)

    def mean(self, far: Alpha, second: Alpha, size_hw: tuple[int, int]) -> Alpha:
        """`far` shows a picture of `size_hw`, `second` this window: the picture's mean.

        Its size is that at which all of a window as large as `far` can be seen, at most the
        picture's own.
        """
        whole_hw, own_hw, far_hw = (np.array(hw) for hw in (size_hw, self.hw, far.shape))
        canvas_hw = np.minimum(far_hw * whole_hw / own_hw, np.maximum(far_hw, whole_hw))
        canvas_hw = np.rint(canvas_hw).astype(int)
        step = canvas_hw / whole_hw  # canvas pixels per pixel of the picture
        first = np.array([self.rows.start, self.columns.start]) * step
        zoom = own_hw * step / second.shape
        # Pixel centers lie at half steps.
        place = np.column_stack([np.diag(zoom[::-1]), (first + zoom / 2 - 0.5)[::-1]])
        moved = cv2.warpAffine(second, place, canvas_hw[::-1], borderMode=cv2.BORDER_REPLICATE)
        both = sized(far, tuple(canvas_hw)).copy()
        (top, left), (bottom, right) = np.rint([first, first + own_hw * step]).astype(int)
        inside = both[top:bottom, left:right]
        inside += (moved[top:bottom, left:right] - inside) / 2
        return both


def _span(seen: NDArray[np.bool_], axis: int) -> tuple[float, float]:
    """From the first True to behind the last, as parts of the axis; all of it without any."""
    found, length = np.flatnonzero(seen.any(axis=1 - axis)), seen.shape[axis]
    if not len(found):
        return 0.0, 1.0
    return float(found[0] / length), float((found[-1] + 1) / length)
