"""What the scenarios share. They run inside the guest: see tests/test_rig.py."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from rig.devices import renew_loopbacks
from rig.stage import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    """An empty stage."""
    renew_loopbacks()
    with ExitStack() as stack:
        yield Stage(stack)


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[..., None]:
    """note(name=figure) hands figures to the machine that booted the guest."""

    def write(**figures: Any) -> None:
        with Path("/tmp/out/figures.jsonl").open("a") as out:
            out.write(json.dumps({"scenario": request.node.name, **figures}) + "\n")

    return write


@pytest.fixture
def pause() -> Callable[[float], None]:
    """Let real devices run for so long; that is what is measured, nothing is awaited by it."""
    return time.sleep
