"""Twins of the stages: they say what is to be done to a frame on the GPU, as steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from stream.backends.choice import Network
from stream.backgrounds import Matte, Plain, Transparent
from stream.blur import Blur
from stream.config import PersonConfig
from stream.frame import Frame
from stream.gpu.carrier import Carrier, Sent
from stream.gpu.steps import Asked, Cleaned, OverBlur, OverPlanes, Refined, Shown
from stream.interfaces import Background
from stream.letterbox import Letterbox
from stream.pipeline import Stages
from stream.wardrobe import Wardrobe


@dataclass(frozen=True)
class Twins:
    """The stages of frames that were sent up; of others, the processor's stages."""

    carrier: Carrier
    network: Network
    letterbox: Letterbox
    config: PersonConfig
    here: Stages

    def segment(self, frame: Frame) -> Any:
        """The steps to the network's matte, in its place."""
        if not isinstance(frame, Sent):
            self.carrier.asked(self.carrier.slots.forget)
            self.carrier.slots.wait()  # what is under way runs on the same engine
            return self.here.segmenter.segment(frame)
        return (
            Shown(self.network, self.letterbox, frame.color, frame.format),
            Asked(self.network),
        )

    def refine(self, alpha: Any, frame: Frame) -> Any:
        """The steps to the matte of the frame's size."""
        if not isinstance(frame, Sent):
            return self.here.matte.refine(alpha, frame)
        is_sharp, config = self.config.edges != "plain", self.config
        edge = Refined(self.network, self.letterbox, is_sharp, config.grow, config.feather)
        return (*alpha, edge)

    def clean(self, frame: Frame, alpha: Any) -> Frame:
        """The frame, to be cleaned at its edges."""
        if not isinstance(frame, Sent):
            return self.here.clean(frame, alpha)
        if self.config.edges != "clean":
            return frame
        return replace(frame, plan=(Cleaned(frame.color.full_range),))


class TwinBackground:
    """A background behind frames that were sent up."""

    def __init__(self, carrier: Carrier, here: Stages) -> None:
        self._carrier, self._background, self._clean = carrier, here.background, here.clean
        self._seen: Sent | None = None  # the last composite; of its room only the GPU knows

    @property
    def blends(self) -> bool:
        """As the background itself."""
        return self._background.blends

    def compose(self, frame: Frame, alpha: Any) -> Frame:
        """The frame with all that is to be done to it; with nothing, where it is done here."""
        if not isinstance(frame, Sent):
            return self._background.compose(frame, alpha)
        worn = worn_of(self._background)
        if not is_served(worn):
            return replace(frame, plan=())
        if isinstance(worn, Blur):
            return replace(frame, plan=(*alpha, *frame.plan, OverBlur(worn.blur_px)))
        behind, slot = self._background.alone(frame.as_it_came()).planes, frame.slot
        self._carrier.asked(lambda: self._carrier.slots.lay_behind(slot, behind))
        return replace(frame, plan=(*alpha, *frame.plan, OverPlanes()))

    def saw(self, frame: Sent | None) -> None:
        """Told the frame that was composed last on the GPU; None: one was composed here."""
        self._seen = frame

    def alone(self, frame: Frame) -> Frame:
        """As the background itself, which is told what room the GPU saw last."""
        seen, self._seen = self._seen, None
        if seen is not None and isinstance(worn_of(self._background), Blur):
            where, slots = seen.slot.alpha, self._carrier.slots
            alpha = self._carrier.asked(lambda: slots.there(where.address, where.hw))
            if alpha is not None:
                self._background.compose(self._clean(seen.as_it_came(), alpha), alpha)
        return self._background.alone(frame)

    def close(self) -> None:
        """The background's owner closes it."""


def worn_of(background: Background) -> Background:
    """The background of the moment."""
    return background.worn if isinstance(background, Wardrobe) else background


def is_served(worn: Background) -> bool:
    """Whether a background has a twin on the GPU."""
    return not isinstance(worn, Plain | Matte | Transparent)
