"""Which engine: the GPU where it truly serves, and the processor wherever it does not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stream.backends import BackendUnavailable
from stream.backends.nvidia import has_driver
from stream.interfaces import Backend, Batching
from stream.networks import EngineName, Precision, network_file

log = logging.getLogger(__name__)


def open_on_gpu(
    network: str,
    area: int | None,
    engine: EngineName,
    precision: Precision | None,
    shown_hw: tuple[float, float],
    batch: int = 1,
) -> Backend | None:
    """The network on the GPU; None where `engine` is auto and the GPU does not serve.

    Raises BackendUnavailable where a GPU was asked for.
    """
    if engine == "auto" and not has_driver():
        return None  # nothing is imported, nothing is said: most machines have none
    try:
        gpu = tried(network_file(network, precision, "tensorrt"), area, shown_hw, batch)
    except BackendUnavailable as error:
        if engine == "tensorrt":
            raise
        log.warning("the processor runs the network, not the GPU: %s", error)
        return None
    log.info("%s: agrees with the processor", gpu.name)
    if engine == "tensorrt":
        return gpu
    return GpuOrProcessor(gpu, lambda: _on_processor(network_file(network, precision), area))


def tried(
    network: Path, area: int | None, shown_hw: tuple[float, float], batch: int = 1
) -> Batching:
    """The network on the GPU, after a trial against the processor's answers."""
    from stream.backends.trial import check_agreement
    from stream.backends.trt import TensorRt

    gpu = TensorRt(network, area, batch=batch)
    try:
        with closing(_on_processor(network, area)) as processor:
            check_agreement(gpu, processor, shown_hw)
    except BaseException:
        gpu.close()
        raise
    return gpu


class Network(Protocol):
    """A network whose inputs and alpha lie on the GPU, at one input size."""

    @property
    def addresses(self) -> dict[str, int]:
        """Of image and alpha, and of previous where it looks back; as Backend.infer has them."""
        ...

    @property
    def is_recordable(self) -> bool:
        """Whether its kernels can be recorded with those before and after."""
        ...

    def enqueue(self, stream: int) -> None:
        """Run it once what was begun on the stream is done. Raises BackendUnavailable."""
        ...


@runtime_checkable
class ResidentBackend(Backend, Protocol):
    """A backend whose network can be had without its ways up and down."""

    def resident(self, input_hw: tuple[int, int]) -> Network | None:
        """The network of a size that was fitted; None where the GPU does not serve."""
        ...


class GpuOrProcessor:
    """Runs on the GPU; goes on on the processor, and says so once, when the GPU gives up."""

    def __init__(self, gpu: Batching, on_processor: Callable[[], Backend]) -> None:
        self._backend: Backend = gpu
        self._gpu, self._on_processor = gpu, on_processor
        self._shown_hw = (0.0, 0.0)

    @property
    def name(self) -> str:
        """Of the engine that runs now."""
        return self._backend.name

    @property
    def batch(self) -> int:
        """How many frames are best run at once, now."""
        return self._gpu.batch if self._backend is self._gpu else 1

    def fit(self, display_hw: tuple[float, float]) -> tuple[int, int]:
        """The input size for frames shown at this size, compiled and ready."""
        self._shown_hw = display_hw
        try:
            return self._backend.fit(display_hw)
        except BackendUnavailable as error:
            self._give_up(error)
        return self._backend.fit(display_hw)

    def infer(
        self, image: NDArray[np.float32], previous: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(N, H, W, 3) RGB 0-255 → (N, H, W, 1) alpha 0-1, valid until the next call."""
        try:
            return self._backend.infer(image, previous)
        except BackendUnavailable as error:
            self._give_up(error)
        # Inputs are of one size on both: it comes from the shape of the frames and the area.
        self._backend.fit(self._shown_hw)
        return self._backend.infer(image, previous)

    def resident(self, input_hw: tuple[int, int]) -> Network | None:
        """TensorRt.resident, while the GPU serves."""
        return (
            self._backend.resident(input_hw) if isinstance(self._backend, ResidentBackend) else None
        )

    def close(self) -> None:
        """Free the engine; safe to call twice."""
        self._backend.close()
        self._gpu.close()

    def _give_up(self, error: BackendUnavailable) -> None:
        if self._backend is not self._gpu:
            raise error
        log.warning("the processor goes on with the network: %s", error)
        # The GPU's is freed at the end: kernels of frames under way may still use it.
        self._backend = self._on_processor()


def _on_processor(network: Path, area: int | None) -> Backend:
    from stream.backends.ov import OpenVino

    return OpenVino(network, area)
