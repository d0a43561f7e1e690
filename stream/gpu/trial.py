"""A trial: what the GPU makes of a frame must be what the processor makes of it."""

from __future__ import annotations

import numpy as np

from stream.backends import BackendUnavailable
from stream.backends.trial import MOST_APART, probe
from stream.blur import Blur
from stream.color import planes_of, rgb_of
from stream.compose import composite
from stream.foreground import clean
from stream.frame import Alpha, Frame, Plane
from stream.gpu.carrier import Sent
from stream.gpu.slots import Plan
from stream.gpu.steps import OverBlur, OverPlanes, Step
from stream.gpu.twins import Twins
from stream.interfaces import Backend

_BLUR_PX = 18.0
_NEAR, _MOST_FAR = 2, 0.001  # of 255; so large a share of a composite may be further away
_ROUNDS = 2  # over all slots: kernels one by one, then as they were recorded


def check_network(twins: Twins, backend: Backend, like: Frame) -> None:
    """The pictures that the network is shown, and its answers. Raises BackendUnavailable."""
    frames, slots = _pictured(like), twins.carrier.slots
    h, w = twins.letterbox.input_hw
    for turn in range(_ROUNDS * slots.count):
        frame = frames[turn % len(frames)]
        slot = slots.send(frame.planes)
        slots.forget()
        slots.run(slot, (*twins.segment(Sent.of(frame, slot)),))
        slots.fetch(slot)
        image, alpha = (
            slots.there(twins.network.addresses[name], (1, h, w, count))
            for name, count in (("image", 3), ("alpha", 1))
        )
        shown = twins.letterbox.pad(rgb_of(frame, twins.letterbox.content_hw) * np.float32(255))
        _check("picture for the network", float(np.abs(image - shown).mean()), 1.0)
        wanted = backend.infer(image, np.zeros((1, h, w, 1), np.float32))
        _check("matte", float(np.abs(alpha - wanted).mean()), MOST_APART)


def check_composites(twins: Twins, like: Frame) -> None:
    """Composites for a known answer of the network. Raises BackendUnavailable."""
    frames = _pictured(like)
    answer = probe(twins.letterbox.input_hw)[1]
    slots = twins.carrier.slots
    for over in (OverPlanes(), OverBlur(_BLUR_PX)):
        wanted = [_composed(twins, frames[n], frames[1 - n], answer, over) for n in range(2)]
        for turn in range(_ROUNDS * slots.count):
            n = turn % 2
            slot = slots.send(frames[n].planes)
            slots.lay_behind(slot, frames[1 - n].planes)
            slots.work.put(twins.network.addresses["alpha"], answer)
            sent = Sent.of(frames[n], slot)
            refined = twins.refine((), sent)
            slots.run(slot, (*refined, *_plan(twins.clean(sent, refined)), over))
            planes, _ = slots.fetch(slot)
            _check("composite", _share_apart(planes, wanted[n].planes), _MOST_FAR)


def _plan(frame: Frame) -> Plan:
    return frame.plan if isinstance(frame, Sent) else ()


def _composed(twins: Twins, frame: Frame, behind: Frame, answer: Alpha, over: Step) -> Frame:
    """What the processor makes of it."""
    alpha = twins.here.matte.refine(twins.letterbox.crop(answer[0, :, :, 0]), frame)
    frame = clean(frame, alpha) if twins.config.edges == "clean" else frame
    if isinstance(over, OverBlur):
        return Blur(over.blur_px).compose(frame, alpha)
    return composite(frame, behind.planes, alpha)


def _pictured(like: Frame) -> list[Frame]:
    """Two frames of the same kind with everything in them: an old answer must not pass."""
    images = [probe(like.size_hw, seed)[0][0] for seed in range(2)]
    return [like.with_planes(planes_of(image / np.float32(255), like)) for image in images]


def _share_apart(planes: tuple[Plane, ...], wanted: tuple[Plane, ...]) -> float:
    far = sum(
        np.count_nonzero(np.abs(one.astype(np.int16) - other) > _NEAR)
        for one, other in zip(planes, wanted, strict=True)
    )
    return far / sum(plane.size for plane in planes)


def _check(what: str, apart: float, most: float) -> None:
    if not apart <= most:
        raise BackendUnavailable(
            f"the GPU's {what} is not the processor's: {apart:.4f} apart, at most {most} is "
            "allowed",
            "update NVIDIA's driver, or take --engine cpu",
        )
