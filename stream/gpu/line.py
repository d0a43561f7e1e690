"""The line on a GPU: a step up after the source, twins of the stages, a step down before the sink.

The step down has done what the twins say. Where the GPU gives up, or a background is none of its
own, the processor's stages do the same frame, from the planes that are still here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from stream.frame import Frame
from stream.gpu.carrier import Carrier, Sent
from stream.gpu.device import Gpu
from stream.gpu.twins import TwinBackground, Twins
from stream.interfaces import Sink, Source
from stream.pipeline import StageClock, Stages, composed
from stream.segmenter import CautiousSegmenter

_UNDER_WAY = 2  # frames of a clip that may wait to be fetched; of three slots one is being filled


class GpuLine:
    """A line whose frames stay on the GPU; `close` gives it back."""

    def __init__(self, twins: Twins, like: Frame, gpu: Gpu) -> None:
        self._twins, self._like, self._gpu = twins, like, gpu
        self._background = TwinBackground(twins.carrier, twins.here)

    def up(self, source: Source) -> Source:
        """The step up after the source."""
        return Up(source, self._twins.carrier, self._like)

    @property
    def network_runs(self) -> int:
        """How many frames passed through the network here so far, those of the trial included."""
        return self._twins.carrier.slots.begun

    @property
    def stages(self) -> Stages:
        """The twins."""
        return Stages(self._twins, self._twins, self._twins.clean, self._background)

    def down(self, sink: Sink, is_live: bool) -> Down:
        """The step down before the sink."""
        here = self._twins.here
        return Down(
            sink,
            self._twins.carrier,
            here,
            self._background,
            behind=0 if is_live else _UNDER_WAY,
            hides_first=isinstance(here.segmenter, CautiousSegmenter),
        )

    def close(self) -> None:
        """Give the GPU back; safe to call twice."""
        self._gpu.close()


class Up:
    """The source, its frames sent up; those of another kind than `like` stay here."""

    def __init__(self, source: Source, carrier: Carrier, like: Frame) -> None:
        self.is_live = source.is_live
        self._source, self._carrier, self._kind = source, carrier, _kind(like)

    def __iter__(self) -> Iterator[Frame]:
        """The frames, once."""
        for frame in self._source:
            yield self._sent(frame)

    def close(self) -> None:
        """Close the source; safe to call twice."""
        self._source.close()

    def _sent(self, frame: Frame) -> Frame:
        if frame.stand_in is not None or frame.repeats or _kind(frame) != self._kind:
            return frame
        slot = self._carrier.asked(lambda: self._carrier.slots.send(frame.planes))
        return frame if slot is None else Sent.of(frame, slot)


class Down:
    """The sink, behind the step that has frames done on the GPU and fetches their composites.

    So many frames as `behind` says may be under way; live, none, for they would come late. With
    `hides_first` a frame that follows no other is shown as the background alone, as
    CautiousSegmenter has it.
    """

    def __init__(
        self, sink: Sink, carrier: Carrier, here: Stages, background: TwinBackground,
        *, behind: int, hides_first: bool,
    ) -> None:  # fmt: skip
        self._sink, self._carrier, self._here, self._background = sink, carrier, here, background
        self._behind, self._hides_first = behind, hides_first
        self._under_way: deque[Sent] = deque()
        self._came: Sent | None = None
        self._shown: Frame | None = None  # the composite of what came last

    def write(self, frame: Frame) -> None:
        """Take one frame."""
        if not isinstance(frame, Sent):
            self._finish(0)
            self._sink.write(frame)
        elif self._came is not None and frame.slot is self._came.slot:  # the same once more
            self._finish(0)
            assert self._shown is not None
            self._sink.write(replace(self._shown, pts=frame.pts))
        else:
            self._came = frame
            if frame.plan:
                self._carrier.asked(lambda: self._carrier.slots.run(frame.slot, frame.plan))
            self._under_way.append(frame)
            self._finish(self._behind)

    def close(self) -> None:
        """Write what is under way and close the sink; safe to call twice."""
        try:
            self._finish(0)
        finally:
            self._sink.close()

    def _finish(self, left: int) -> None:
        while len(self._under_way) > left:
            frame = self._under_way.popleft()
            self._shown = self._composite(frame)
            self._sink.write(self._shown)

    def _composite(self, frame: Sent) -> Frame:
        """From the GPU, where it answered well; otherwise made here."""
        came, slots = frame.as_it_came(), self._carrier.slots
        fetched = self._carrier.asked(lambda: slots.fetch(frame.slot)) if frame.plan else None
        if fetched is None or fetched[1].is_no_number:
            self._carrier.asked(slots.forget)
            self._background.saw(None)
            segmenter, matte, clean, background = self._here
            slots.wait()  # what is under way runs on the same engine
            alpha = segmenter.segment(came)
            return composed(came, alpha, matte, clean, background, StageClock())
        planes, flags = fetched
        if isinstance(self._here.segmenter, CautiousSegmenter):
            self._here.segmenter.failure = None
        if flags.starts_anew and self._hides_first:
            return self._background.alone(came)
        self._background.saw(frame)
        return came.with_planes(planes)


def _kind(frame: Frame) -> tuple[object, ...]:
    return frame.format, frame.size_hw, frame.pixel_aspect, frame.color.is_hdr
