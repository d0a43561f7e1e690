"""Frames up, through their steps, and down again, several under way at once.

Three streams: one carries planes up, one computes, one carries composites down. Marks (events) keep
each frame's three parts in order; frames beside each other overlap.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.backends import BackendUnavailable
from stream.backends.nvidia import got
from stream.frame import Plane
from stream.gpu.device import Gpu, Picture, There, Work
from stream.gpu.steps import Asked, Step, state_of

log = logging.getLogger(__name__)

Plan = tuple[Step, ...]
_FLAGS_BYTES = 8
_WARM_UP = 1  # a plan's first run on a slot: memory is taken, and engines finish their kernels


class Flags(NamedTuple):
    """What the GPU found out about a frame."""

    starts_anew: bool
    """The network saw no frame before it."""

    is_no_number: bool
    """The network's answer is not to be used."""


class Slot:
    """Where one frame lies, here and on the GPU."""

    def __init__(self, gpu: Gpu, luma_hw: tuple[int, int], chroma_hw: tuple[int, int]) -> None:
        self.sizes = luma_hw, chroma_hw
        (h, w), (ch, cw) = luma_hw, chroma_hw
        self.size = h * w + 2 * ch * cw
        flags_at = -(-self.size // 4) * 4
        self.up, self.below = gpu.pinned(self.size), gpu.pinned(self.size)
        self.down = gpu.pinned(flags_at + _FLAGS_BYTES)
        self.came, self.behind = (
            Picture.at(gpu.memory(self.size), luma_hw, chroma_hw) for _ in range(2)
        )
        self.composite = Picture.at(gpu.memory(self.down.size), luma_hw, chroma_hw)
        self.flags = There.at(self.composite.luma.address + flags_at, 1, (1, 2), 4)
        self.alpha = There.at(gpu.memory(4 * h * w), 1, luma_hw, 4)
        self.uploaded, self.computed, self.downloaded = (gpu.event() for _ in range(3))
        self.lies_behind: tuple[Plane, ...] | None = None
        self.is_under_way = False
        self.runs: dict[Plan, int] = {}
        self.recorded: dict[Plan, list[Callable[[], None]]] = {}


class Slots:
    """Slots that take turns; at most all but one of them may wait to be fetched."""

    def __init__(
        self, gpu: Gpu, luma_hw: tuple[int, int], chroma_hw: tuple[int, int], count: int = 3
    ) -> None:
        """Raises BackendUnavailable where the GPU has no room."""
        self._gpu, self.work = gpu, Work(gpu)
        self._up, self._down = gpu.stream(), gpu.stream()
        self._slots = [Slot(gpu, luma_hw, chroma_hw) for _ in range(count)]
        self._turn = 0
        self.begun = 0  # frames, each of which passes through the network once
        self.forget()
        self._call("cuStreamSynchronize", self.work.stream)

    def forget(self) -> None:
        """The next frame does not follow the one before."""
        self._call("cuMemsetD32Async", state_of(self.work).address + 4, 1, 1, self.work.stream)

    def send(self, planes: tuple[Plane, ...]) -> Slot:
        """Begin to send a frame's planes up."""
        slot = self._slots[self._turn]
        assert not slot.is_under_way, "a slot is used again before its frame was fetched"
        self._turn = (self._turn + 1) % len(self._slots)
        self._send(planes, slot.up, slot.came)
        return slot

    def lay_behind(self, slot: Slot, planes: tuple[Plane, ...]) -> None:
        """Send what lies behind a slot's frame, unless it lies there already."""
        if slot.lies_behind is not planes:
            self._send(planes, slot.below, slot.behind)
            slot.lies_behind = planes

    def run(self, slot: Slot, plan: Plan) -> None:
        """Begin the steps of the frame that was sent, and its way down."""
        slot.is_under_way, self.begun = True, self.begun + 1
        self._call("cuEventRecord", slot.uploaded, self._up)
        self._call("cuStreamWaitEvent", self.work.stream, slot.uploaded, 0)
        for part in self._parts(slot, plan):
            part()
        self._call("cuEventRecord", slot.computed, self.work.stream)
        self._call("cuStreamWaitEvent", self._down, slot.computed, 0)
        there, here = slot.composite.luma.address, slot.down
        self._call("cuMemcpyDtoHAsync", here.ctypes.data, there, here.nbytes, self._down)
        self._call("cuEventRecord", slot.downloaded, self._down)

    def wait(self) -> None:
        """Until all that was begun is done, or has failed."""
        self._gpu.cuda.cuStreamSynchronize(self.work.stream)

    def fetch(self, slot: Slot) -> tuple[tuple[Plane, ...], Flags]:
        """The composite's planes, and the flags, when they are down; the slot is free again."""
        self._call("cuEventSynchronize", slot.downloaded)
        slot.is_under_way = False
        flags = Flags(*map(bool, slot.down[-_FLAGS_BYTES:].view(np.int32)))
        return tuple(view.copy() for view in _views(slot.down, *slot.sizes)), flags

    @property
    def count(self) -> int:
        """How many slots there are."""
        return len(self._slots)

    def there(self, address: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """What lies at an address on the GPU; of what was begun, only what was fetched is done."""
        values = np.empty(shape, np.float32)
        self._call("cuMemcpyDtoH", values.ctypes.data, address, values.nbytes)
        return values

    def _parts(self, slot: Slot, plan: Plan) -> list[Callable[[], None]]:
        """What to call for a plan: kernels one by one at first, then one recording of them."""
        runs = slot.runs.get(plan, 0)
        slot.runs[plan] = runs + 1
        one_by_one: list[Callable[[], None]] = [partial(step.do, self.work, slot) for step in plan]
        if runs < _WARM_UP:
            return one_by_one
        if plan not in slot.recorded:
            try:
                slot.recorded[plan] = self._recording(slot, plan)
            except BackendUnavailable as error:
                log.info("kernels are started one by one, not as a recording: %s", error)
                slot.recorded[plan] = one_by_one
        return slot.recorded[plan]

    def _recording(self, slot: Slot, plan: Plan) -> list[Callable[[], None]]:
        """The plan as CUDA graphs: one, or two around a network that cannot be recorded."""
        parts: list[Callable[[], None]] = []
        waiting: list[Step] = []
        for step in plan:
            if isinstance(step, Asked) and not step.network.is_recordable:
                parts += [self._graph(slot, waiting), partial(step.do, self.work, slot)]
                waiting = []
            else:
                waiting.append(step)
        return [*parts, self._graph(slot, waiting)]

    def _graph(self, slot: Slot, steps: list[Step]) -> Callable[[], None]:
        def start() -> None:
            for step in steps:
                step.do(self.work, slot)

        ready = self._gpu.recording(self.work.stream, start)
        return partial(self._call, "cuGraphLaunch", ready, self.work.stream)

    def _send(self, planes: tuple[Plane, ...], here: NDArray[np.uint8], there: Picture) -> None:
        for view, plane in zip(_views(here, there.luma.hw, there.chroma.hw), planes, strict=True):
            np.copyto(view, plane)
        size, address = here.nbytes, there.luma.address
        self._call("cuMemcpyHtoDAsync", address, here.ctypes.data, size, self._up)

    def _call(self, function: str, *arguments: Any) -> Any:
        """Call the driver. Raises BackendUnavailable in its words."""
        return got(getattr(self._gpu.cuda, function)(*arguments), "use the GPU")


def _views(
    block: NDArray[np.uint8], luma_hw: tuple[int, int], chroma_hw: tuple[int, int]
) -> list[NDArray[np.uint8]]:
    """The planes in a block where they lie one behind the other."""
    views, start = [], 0
    for h, w in (luma_hw, chroma_hw, chroma_hw):
        views.append(block[start : start + h * w].reshape(h, w))
        start += h * w
    return views
