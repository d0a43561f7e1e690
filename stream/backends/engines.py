"""The engines of a network: found where they lie, else built and kept."""

from __future__ import annotations

import logging
import time
from functools import cached_property
from pathlib import Path

from stream.backends import engine_cache, engine_sweep
from stream.backends.engine_builder import Facts, build, parse
from stream.backends.engine_cache import EngineKey
from stream.backends.flavor import Flavor
from stream.backends.nvidia import GpuCard

log = logging.getLogger(__name__)


class Engines:
    """The engines of one network for one card, or for none where TensorRT needs none to build."""

    def __init__(
        self,
        network: Path,
        flavor: Flavor,
        card: GpuCard | None,
        folder: Path | None = None,
        batch: int = 1,
    ) -> None:
        """Each takes up to `batch` frames at once; they are kept in `folder`, the user's cache."""
        self.network, self.flavor, self.card, self.batch = network, flavor, card, batch
        self.folder = folder or engine_cache.user_folder()

    @cached_property
    def facts(self) -> Facts:
        """About the network. Raises BackendUnavailable where TensorRT refuses it."""
        return parse(self.network, self.flavor).facts

    def engine(self, input_hw: tuple[int, int]) -> tuple[EngineKey, bytes, bool]:
        """Its key, the engine, and whether it was there already: cached, or beside the network."""
        for each in self.flavor.bounds(self.card):
            key = EngineKey.of(self.network, input_hw, each, self.batch)
            found = engine_cache.find(key, self._folders)
            if found is not None:
                return key, found, True
        return *self.built(input_hw), False

    def built(self, input_hw: tuple[int, int]) -> tuple[EngineKey, bytes]:
        """Its key and the engine, built anew, whatever there is, and kept."""
        bound = self.flavor.bounds(self.card)[0]
        key = EngineKey.of(self.network, input_hw, bound, self.batch)
        said = f"{key.words['input']}, {self.card or 'for ' + bound['capabilities']}"
        log.info("building the engine of %s, %s: seconds to a minute, once", self.network, said)
        began = time.monotonic()
        # What export makes lies beside the network and is nobody's cache.
        cache = engine_cache.user_folder() if self.folder == self.network.parent else self.folder
        notes = engine_cache.notes_file("timings", bound, cache)
        parsed, timings = parse(self.network, self.flavor), engine_cache.read_notes(notes)
        built = build(parsed, (self.batch, *input_hw), self.flavor, self.card, timings)
        seconds = round(time.monotonic() - began, 1)
        made = {"precision": self.facts.precision, "built in": f"{seconds} s"}
        path = engine_cache.keep(key, built.engine, made, self.folder)
        self.note(notes, built.timings)
        if cache == self.folder:
            engine_sweep.sweep(cache, time.time())
        log.info("built in %s s: %s", seconds, path or "not kept")
        return key, built.engine

    def note(self, path: Path, content: bytes) -> None:
        """Keep what TensorRT wants kept; without it, it works it out again."""
        if not content:
            return
        try:
            engine_cache.replace(path, content)
        except OSError as error:
            log.debug("cannot keep %s: %s", path, error)

    @property
    def _folders(self) -> tuple[Path, Path]:
        return self.folder, self.network.parent
