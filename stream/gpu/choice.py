"""Whether frames stay on the GPU: where the network runs there, and its composites are right."""

from __future__ import annotations

import logging

from stream.backends import BackendUnavailable
from stream.backends.choice import ResidentBackend
from stream.config import PersonConfig
from stream.frame import Frame
from stream.gpu.carrier import Carrier
from stream.gpu.device import Gpu
from stream.gpu.line import GpuLine
from stream.gpu.slots import Slots
from stream.gpu.trial import check_composites, check_network
from stream.gpu.twins import Twins, is_served, worn_of
from stream.interfaces import Backend, Background
from stream.letterbox import Letterbox
from stream.pipeline import Stages
from stream.segmenter import display_hw

log = logging.getLogger(__name__)

FORMATS = ("yuv420p", "yuv422p", "yuv444p")


def on_gpu(here: Stages, backend: Backend, config: PersonConfig, like: Frame) -> GpuLine | None:
    """The line on the GPU that the network runs on; None where the processor's stages serve.

    Raises BackendUnavailable where a GPU was asked for and does not do it right.
    """
    if not isinstance(backend, ResidentBackend):
        return None
    why_not = _unserved(like, here.background)
    if why_not:
        log.info("the processor composes the frames: on the GPU there is nothing for %s", why_not)
        return None
    try:
        line = _tried(here, backend, config, like)
    except BackendUnavailable as error:
        if config.engine == "tensorrt":
            raise
        log.warning("the processor composes the frames, not the GPU: %s", error)
        return None
    if line is not None:
        log.info("the frames stay on the GPU: its composites agree with the processor's")
    return line


def _unserved(like: Frame, background: Background) -> str:
    """What of a frame or background has no kernels; empty where all has."""
    if like.format not in FORMATS:
        return f"{like.format}, but for {', '.join(FORMATS)}"
    if like.color.is_hdr:
        return "HDR"
    return "" if is_served(worn_of(background)) else "this background"


def _tried(
    here: Stages, backend: ResidentBackend, config: PersonConfig, like: Frame
) -> GpuLine | None:
    shown_hw = display_hw(like)
    letterbox = Letterbox.fit(shown_hw, backend.fit(shown_hw))
    network = backend.resident(letterbox.input_hw)
    if network is None:
        return None
    gpu = Gpu()
    try:
        luma_hw, chroma_hw, _ = like.layout.plane_hws(like.size_hw)
        carrier = Carrier(Slots(gpu, luma_hw, chroma_hw), insists=True)
        twins = Twins(carrier, network, letterbox, config, here)
        check_network(twins, backend, like)
        check_composites(twins, like)
        carrier.slots.forget()
        carrier.insists = config.engine == "tensorrt"
    except BaseException:
        gpu.close()
        raise
    return GpuLine(twins, like, gpu)
