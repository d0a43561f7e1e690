"""Which TensorRT is installed, and all in which TensorRT and TensorRT-RTX differ.

TensorRT (10, 11) builds for the very GPU that it runs on, and remembers what it timed there.
TensorRT-RTX builds for a generation of GPUs, or for all from 8.0 on (Turing, 7.5, has to be named),
also where there is none, and finishes the kernels on the GPU at first use; those it can keep.
https://docs.nvidia.com/deeplearning/tensorrt-rtx/latest/inference-library/cpu-engines.html
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any, Protocol

from stream.backends import BackendUnavailable
from stream.backends.nvidia import GpuCard

PACKAGES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}  # in the order they are tried
INSTALL = (
    "pip install -r requirements-gpu.txt (tensorrt-rtx, for GeForce and RTX cards from the 16 "
    "series on), or pip install tensorrt (data-center cards as well)"
)
NO_PACKAGE = "neither of the packages tensorrt and tensorrt-rtx is installed"

_PORTABLE_FROM = (8, 0)

Bound = dict[str, str]  # what an engine or a cache belongs to, in words


class Flavor(Protocol):
    """One of the two TensorRTs."""

    @property
    def module(self) -> Any:
        """The package, imported."""
        ...

    @property
    def name(self) -> str:
        """TensorRT or TensorRT-RTX."""
        ...

    @property
    def version(self) -> str:
        """The package's version."""
        ...

    def check(self, card: GpuCard) -> None:
        """Raise BackendUnavailable where this TensorRT does not serve this card."""
        ...

    def bounds(self, card: GpuCard | None) -> list[Bound]:
        """What engines that serve a card belong to; the first is built. Raises BackendUnavailable.

        Without a card: what can be built for cards elsewhere.
        """
        ...

    def prepare(self, config: Any, card: GpuCard | None, timings: bytes) -> None:
        """Set what a build should aim at, and what is known from builds before."""
        ...

    def timings(self, config: Any) -> bytes:
        """What a build has learned of this GPU; empty where there is nothing to keep."""
        ...

    def context(self, engine: Any, kernels: bytes) -> tuple[Any, Any]:
        """What runs an engine, and the cache of its kernels or None."""
        ...

    def remedy(self, card: GpuCard, otherwise: str) -> str:
        """What to do where an engine does not run on this card."""
        ...


@dataclass(frozen=True)
class TensorRtProper:
    """NVIDIA's TensorRT 10 or 11."""

    module: Any
    version: str
    name: str = PACKAGES["tensorrt"]

    def check(self, card: GpuCard) -> None:
        """It serves every card that its own libraries know; they say so themselves."""

    def bounds(self, card: GpuCard | None) -> list[Bound]:
        """An engine belongs to one GPU and driver."""
        if card is None:
            raise BackendUnavailable(
                f"{self.name} builds only on the GPU that it builds for, and there is none",
                "build there, or pip install tensorrt-rtx, which builds anywhere",
            )
        made_by, gpu = f"{self.name} {self.version}", f"{card} ({card.generation})"
        return [{"made by": made_by, "gpu": gpu, "driver": card.driver}]

    def prepare(self, config: Any, card: GpuCard | None, timings: bytes) -> None:
        """Go on from the timings of builds before, where TensorRT still takes them."""
        cache = config.create_timing_cache(timings)
        if cache is not None:  # none where they are damaged
            config.set_timing_cache(cache, ignore_mismatch=False)

    def timings(self, config: Any) -> bytes:
        """The timings, this build's included."""
        cache = config.get_timing_cache()
        return b"" if cache is None else bytes(cache.serialize())

    def context(self, engine: Any, kernels: bytes) -> tuple[Any, Any]:
        """Kernels lie in the engine: nothing to keep."""
        return engine.create_execution_context(), None

    def remedy(self, card: GpuCard, otherwise: str) -> str:
        """It is not the card's generation."""
        return otherwise


@dataclass(frozen=True)
class TensorRtRtx:
    """NVIDIA's TensorRT for RTX."""

    module: Any
    version: str
    name: str = PACKAGES["tensorrt_rtx"]

    def check(self, card: GpuCard) -> None:
        """It serves the generations that it names, and perhaps later ones by a portable engine."""
        if card.generation not in self._targets() and card.capability < _PORTABLE_FROM:
            raise BackendUnavailable(
                f"{self.name} {self.version} does not serve the {card}, of capability "
                f"{card.generation}, but {', '.join(self._targets())}",
                self.remedy(card, ""),
            )

    def bounds(self, card: GpuCard | None) -> list[Bound]:
        """One for the card's generation, or the portable one; all named at once make 46 MB of 6."""
        aims = []
        if card is not None and card.generation in self._targets():
            aims.append(card.generation)
        if card is None or card.capability >= _PORTABLE_FROM:
            aims.append("{}.{} and later".format(*_PORTABLE_FROM))
        made_by = f"{self.name} {self.version}"
        return [{"made by": made_by, "capabilities": aim} for aim in aims]

    def prepare(self, config: Any, card: GpuCard | None, timings: bytes) -> None:
        """Aim at the card's generation; where it is not named, portable is what it aims at."""
        aim = None if card is None else self._targets().get(card.generation)
        if aim is not None:
            config.num_compute_capabilities = 1
            config.set_compute_capability(aim, 0)

    def timings(self, config: Any) -> bytes:
        """Nothing is timed."""
        return b""

    def context(self, engine: Any, kernels: bytes) -> tuple[Any, Any]:
        """Kernels are finished on the GPU, or taken from the cache."""
        runtime = engine.create_runtime_config()
        cache = runtime.create_runtime_cache()
        if kernels:
            cache.deserialize(kernels)
        runtime.set_runtime_cache(cache)
        return engine.create_execution_context(runtime), cache

    def remedy(self, card: GpuCard, otherwise: str) -> str:
        """Data-center cards (9.0, 10.0) are later than 8.0, and yet most likely not served."""
        if card.generation in self._targets():
            return otherwise
        return "pip install tensorrt, or take --engine cpu"

    def _targets(self) -> dict[str, Any]:
        """8.6: SM86, and so on; the members NONE and CURRENT are no generations."""
        members = self.module.ComputeCapability.__members__
        return {
            f"{name[2:-1]}.{name[-1]}": each
            for name, each in members.items()
            if name.startswith("SM")
        }


def network_flags(flavor: Flavor) -> int:
    """Strongly typed networks have to be asked for in TensorRT 10; later all are."""
    typed = getattr(flavor.module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if typed is None else 1 << int(typed)


def load() -> Flavor:
    """The TensorRT of this machine. Raises BackendUnavailable where none can be loaded."""
    reasons = []
    for package, name in PACKAGES.items():
        if importlib.util.find_spec(package) is None:
            continue
        try:
            module = importlib.import_module(package)
            version = str(module.__version__)
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            reasons.append(f"{name} does not load ({error})")
            continue
        if package == "tensorrt_rtx":
            return TensorRtRtx(module, version)
        return TensorRtProper(module, version)
    if reasons:
        raise BackendUnavailable("; ".join(reasons), f"install it anew: {INSTALL}")
    raise BackendUnavailable(NO_PACKAGE, INSTALL)
