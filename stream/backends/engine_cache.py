"""Engines that were built before: where they lie, whose they are, and whether they are whole."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stream.reasons import reason

log = logging.getLogger(__name__)

ENGINE_SUFFIX = ".engine"
NOTES_SUFFIXES = (".timings", ".kernels")
PART_SUFFIX = ".part"  # of what is being written, or was when its program died
_LETTERS = 16  # of a SHA-256, in file names


@dataclass(frozen=True)
class EngineKey:
    """What makes two engines the same one."""

    network: str
    """Name of the ONNX file, without its suffix."""

    content: str
    """SHA-256 of the ONNX file, which has the precision in it."""

    input_hw: tuple[int, int]
    batch: int
    """How many frames it takes at once, at most."""

    bound: tuple[tuple[str, str], ...]
    """TensorRT's name and version, and the GPU and driver or the GPU generations."""

    @classmethod
    def of(
        cls, network: Path, input_hw: tuple[int, int], bound: dict[str, str], batch: int = 1
    ) -> EngineKey:
        """The key of a network's engine."""
        content = hashlib.sha256(network.read_bytes()).hexdigest()
        return cls(network.stem, content, input_hw, batch, tuple(bound.items()))

    @property
    def words(self) -> dict[str, str]:
        """The key as a card has it."""
        h, w = self.input_hw
        taken = f"{h}×{w}" if self.batch == 1 else f"1 to {self.batch} of {h}×{w}"
        words = {"network": self.network, "onnx sha256": self.content, "input": taken}
        return words | dict(self.bound)

    @property
    def file_name(self) -> str:
        """Another key, another name."""
        h, w = self.input_hw
        return f"{self.network}-{h}x{w}-{_digest(self.words)}{ENGINE_SUFFIX}"


def user_folder() -> Path:
    """Where this user's programs keep what they can make again."""
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "video-background-remover"


def find(key: EngineKey, folders: Iterable[Path]) -> bytes | None:
    """The engine of this key from the first folder that has it whole; None: build it."""
    for folder in folders:
        path = folder / key.file_name
        if not path.exists():
            continue
        why = "it cannot be read"
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            card = json.loads(card_of(path).read_text("utf-8"))
            engine = path.read_bytes()
            why = "it belongs to something else"
            if all(card.get(name) == words for name, words in key.words.items()):
                why = "it is damaged"
                if card["sha256"] == hashlib.sha256(engine).hexdigest():
                    return engine
        log.warning("the engine %s is built again: %s", path, why)
    return None


def keep(key: EngineKey, engine: bytes, made: dict[str, str], folder: Path) -> Path | None:
    """Write an engine and its card, each beside its place and then renamed; None: no room."""
    path = folder / key.file_name
    sha256 = hashlib.sha256(engine).hexdigest()
    card = {**key.words, **made, "bytes": len(engine), "sha256": sha256}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace(path, engine)
        replace(card_of(path), (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        log.warning("the engine is not kept, and built again next time: %s", reason(error))
        return None
    return path


def notes_file(kind: str, bound: dict[str, str], folder: Path) -> Path:
    """Where a TensorRT's own cache lies: timings, or kernels of an engine, of one GPU."""
    return folder / f"{_digest(bound)}.{kind}"


def read_notes(path: Path) -> bytes:
    """A TensorRT's own cache, or nothing."""
    try:
        content = path.read_bytes()
    except OSError:
        return b""
    with suppress(OSError):
        os.utime(path)  # used now: see engine_sweep.py
    return content


def replace(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all. Raises OSError."""
    part = path.with_name(f".{path.name}.{os.getpid()}{PART_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def card_of(path: Path) -> Path:
    """The card of an engine, beside it."""
    return path.with_suffix(".json")


def _digest(words: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:_LETTERS]
