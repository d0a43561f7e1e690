"""The rig from outside: where its kernel is, building it where it is not, and booting it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SHARED = ROOT.parent / "shared" / "rig"
CACHE = (
    Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    / "video-background-remover"
    / "rig"
)
BUILD_S = 3600
PROGRAMS = {"v4l2-ctl": "v4l-utils", "ffmpeg": "ffmpeg", "insmod": "kmod"}


class Missing(Exception):
    """Why there is no rig on this machine."""


def rigs() -> list[Path]:
    """Those that can be booted now."""
    return [place for place in (SHARED, CACHE) if (place / "linux").is_file()]


def the_rig() -> Path:
    """The rig to boot, built now if there is none. Raises Missing."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise Missing("the rig needs Linux on x86-64")
    lacking = [
        package
        for program, package in PROGRAMS.items()
        if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    ]
    if lacking:
        raise Missing(f"the rig needs what is not installed: {', '.join(lacking)}")
    if not rigs():
        build()
    return rigs()[0]


def build() -> None:
    """Build it into the cache. Raises Missing."""
    if not shutil.which("apt-get") or os.geteuid():
        raise Missing(f"there is no {SHARED}, and to build {CACHE} takes apt, as root")
    print(f"building {CACHE}, once; it takes some minutes", flush=True)
    done = subprocess.run(
        [HERE / "build", CACHE], capture_output=True, text=True, errors="replace", timeout=BUILD_S
    )
    if done.returncode:
        raise Missing(f"cannot build {CACHE}: {(done.stderr or done.stdout)[-500:]}")


def boot(
    rig: Path, out: Path, seconds: float, clips: Path, *command: str
) -> subprocess.CompletedProcess[str]:
    """Run Python with these words inside a guest that has so many seconds to live."""
    paths = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
    environment = [f"PYTHONPATH={paths}", "PYTHONFAULTHANDLER=1"]
    shutil.copytree(clips, out / "clips")  # the guest does not see this machine's /tmp
    return subprocess.run(
        [HERE / "boot", rig, out, f"{seconds}", "env", *environment, sys.executable, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
    )


def figures(out: Path) -> list[dict[str, Any]]:
    """What the scenarios of a guest measured."""
    path = out / "figures.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
