"""TensorRT and TensorRT-RTX: the engine for NVIDIA GPUs."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream import StreamError
from stream.backends import BackendUnavailable, engine_cache
from stream.backends.engine_builder import Said
from stream.backends.engine_cache import EngineKey
from stream.backends.engine_sweep import hold
from stream.backends.engines import Engines
from stream.backends.flavor import load
from stream.backends.nvidia import GpuCard, GpuMemory, first_card
from stream.letterbox import suited_hw

log = logging.getLogger(__name__)

_SHAPES_KEPT = 8  # as for processors: a folder of pictures has few shapes


class TensorRt:
    """Runs an ONNX network on the GPU, with an engine built once for each shape of frames."""

    def __init__(
        self,
        network: Path,
        area: int | None = None,
        folder: Path | None = None,
        batch: int = 1,
    ) -> None:
        """Each engine takes up to `batch` frames at once, and is kept in `folder`, by default the
        user's cache. Raises BackendUnavailable."""
        _check_file(network)
        self._card = first_card()
        self._flavor = load()
        self._flavor.check(self._card)
        self._engines = Engines(network, self._flavor, self._card, folder, batch)
        self.batch = batch
        self._own_hw = self._engines.facts.input_hw
        self._area = area or self._own_hw[0] * self._own_hw[1]
        self._running: dict[tuple[int, int], Running] = {}
        self.name = (
            f"{self._flavor.name} {self._flavor.version}, {network.name}, "
            f"{self._engines.facts.precision}, {self._card}"
        )

    def fit(self, display_hw: tuple[float, float]) -> tuple[int, int]:
        """The input size for frames shown at this size, its engine built and loaded."""
        input_hw = suited_hw(display_hw, self._own_hw, self._area)
        if input_hw not in self._running:
            if len(self._running) == _SHAPES_KEPT:
                self.close()
            self._running[input_hw] = self._started(input_hw)
        return input_hw

    def infer(
        self, image: NDArray[np.float32], previous: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(N, H, W, 3) RGB 0-255 → (N, H, W, 1) alpha 0-1, valid until the next call."""
        h, w = image.shape[1:3]
        return self._running[h, w].infer(image, previous)

    def resident(self, input_hw: tuple[int, int]) -> Running | None:
        """The engine of an input size that was fitted, for those whose pictures lie on the GPU;
        None where it takes several frames at once."""
        return self._running[input_hw] if self.batch == 1 else None

    def close(self) -> None:
        """Free the GPU; safe to call twice."""
        for running in self._running.values():
            running.close()
        self._running.clear()

    def _started(self, input_hw: tuple[int, int]) -> Running:
        """An engine on the GPU; one from before that TensorRT refuses is built again, once."""
        key, plan, is_old = self._engines.engine(input_hw)
        try:
            return self._run(plan, key)
        except BackendUnavailable as error:
            if not is_old:
                raise
            log.warning("the engine %s is built again: %s", key.file_name, error)
        key, plan = self._engines.built(input_hw)
        return self._run(plan, key)

    def _run(self, plan: bytes, key: EngineKey) -> Running:
        try:
            return Running(plan, key, self._engines, self._card)
        except BackendUnavailable as error:
            todo = self._flavor.remedy(self._card, error.remedy)
            raise BackendUnavailable(error.reason, todo) from error


class Running:
    """One engine on the GPU, with memory for what goes in and out."""

    def __init__(self, plan: bytes, key: EngineKey, engines: Engines, card: GpuCard) -> None:
        self._inputs = ["image", "previous"] if engines.facts.looks_back else ["image"]
        shapes: dict[str, tuple[int, ...]] = {
            name: (key.batch, *key.input_hw, 3 if name == "image" else 1)
            for name in (*self._inputs, "alpha")
        }
        self._memory = GpuMemory(shapes)
        self._engines, self._said, self._rows = engines, Said(engines.flavor), 0
        self._are_kept = False
        self._file = hold(engines.folder / key.file_name)
        flavor, words = engines.flavor, dict(key.words, gpu=card.name, driver=card.driver)
        self._notes = engine_cache.notes_file("kernels", words, engines.folder)
        try:
            made, logger = self._said.made, self._said.logger
            wish = f"load an engine with {flavor.name} {flavor.version}"
            self._runtime = made(wish, lambda: flavor.module.Runtime(logger))
            self._engine = made(wish, lambda: self._runtime.deserialize_cuda_engine(plan))
            kernels = engine_cache.read_notes(self._notes)
            wish = "make room for the network on the GPU"
            self._context, self._kernels = made(wish, lambda: flavor.context(self._engine, kernels))
            made(wish, lambda: self._context)
            self.addresses = {name: self._memory.address(name) for name in shapes}
            for name, address in self.addresses.items():
                self._context.set_tensor_address(name, address)
        except BackendUnavailable:
            self.close()
            raise

    @property
    def is_recordable(self) -> bool:
        """Whether it can be part of a CUDA graph; of TensorRT-RTX some engines cannot."""
        tell = getattr(self._context, "is_stream_capturable", None)
        return tell is None or bool(tell(self._memory.stream))

    def enqueue(self, stream: int) -> None:
        """Run it on what lies at the addresses, once what was begun on the stream is done."""
        self._said.made(
            "run the network on the GPU", lambda: self._context.execute_async_v3(stream)
        )

    def infer(
        self, image: NDArray[np.float32], previous: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Up, through the network, and down again."""
        memory, rows = self._memory, len(image)
        memory.enter()
        if self._engines.batch > 1 and rows != self._rows:
            self._take(rows)
        memory.up("image", image)
        if "previous" in self._inputs:
            memory.up("previous", previous)
        self.enqueue(memory.stream)
        alpha = memory.down("alpha", rows)
        self._keep_kernels()
        return alpha

    def _keep_kernels(self) -> None:
        """Once, after the first frame has made them. The cache itself must outlive its context."""
        if self._kernels is None or self._are_kept:
            return
        made = self._kernels.serialize()
        if made is not None:
            self._engines.note(self._notes, bytes(made))
        self._are_kept = True

    def _take(self, rows: int) -> None:
        """Tell the engine how many frames come at once, from now on."""
        for name in self._inputs:
            shape = (rows, *self._memory.here[name].shape[1:])
            take = partial(self._context.set_input_shape, name, shape)
            self._said.made(f"take {rows} frames at once", take)
        self._rows = rows

    def close(self) -> None:
        """Free the GPU; safe to call twice. What is made of the engine goes before it."""
        self._context = self._kernels = self._engine = self._runtime = None
        self._memory.close()
        if self._file is not None:
            self._file.close()


def _check_file(network: Path) -> None:
    if network.suffix == engine_cache.ENGINE_SUFFIX:
        raise BackendUnavailable(
            f"cannot take {network} as a network",
            "give the .onnx file: an engine of it that lies beside it is used where it fits",
        )
    if not network.is_file():
        raise StreamError(f"cannot find the network {network}: is it a file of models/?")
