"""What carries frames to the GPU, and does without it when it gives up."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeVar

from stream.backends import BackendUnavailable
from stream.frame import Frame
from stream.gpu.slots import Plan, Slot, Slots

log = logging.getLogger(__name__)

_Given = TypeVar("_Given")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sent(Frame):
    """A frame whose planes lie on the GPU as well, and what is to be done to them there."""

    slot: Slot
    plan: Plan = ()

    @classmethod
    def of(cls, frame: Frame, slot: Slot) -> Sent:
        """A frame that lies in a slot."""
        return cls(slot=slot, **{each.name: getattr(frame, each.name) for each in fields(Frame)})

    def as_it_came(self) -> Frame:
        """The frame as it is here."""
        return Frame(**{each.name: getattr(self, each.name) for each in fields(Frame)})


class Carrier:
    """Has the GPU do what it is asked to, until it gives up; who `insists` gets the error."""

    def __init__(self, slots: Slots, insists: bool) -> None:
        self.slots, self.serves, self.insists = slots, True, insists

    def asked(self, do: Callable[[], _Given]) -> _Given | None:
        """What the GPU gives; None where it gave up, now or before."""
        if not self.serves:
            return None
        try:
            return do()
        except BackendUnavailable as error:
            if self.insists:
                raise
            log.warning("the processor goes on with the frames: %s", error)
            self.serves = False
            return None
