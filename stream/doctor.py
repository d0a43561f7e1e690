"""What this machine has, and what to do about what it lacks."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import get_args

from stream import StreamError
from stream.backends import BackendUnavailable, open_backend
from stream.backends.nvidia import NO_DRIVER, has_driver
from stream.networks import SHIPPED, Precision, network_file
from stream.sinks.loopbacks import loopbacks
from stream.sources.cameras import cameras, why_none
from stream.sources.modes import ranked, said


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is there or not; `remedy` says what to do where it is not."""

    subject: str
    is_there: bool
    what: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at everything the app may use."""
    return [*_engines(), *_networks(), *_codecs(), *_cameras(), *_virtual_cameras()]


def _engines() -> Iterator[Finding]:
    try:
        from stream.backends.ov import openvino

        core = openvino.Core()
        name = core.get_property("CPU", "FULL_DEVICE_NAME").strip()
        version = openvino.get_version().split("-")[0]
        yield Finding("engine, processor", True, f"OpenVINO {version}, {os.cpu_count()} × {name}")
    except (ImportError, RuntimeError) as error:
        remedy = "pip install -r requirements.txt"
        yield Finding("engine, processor", False, f"OpenVINO does not run: {error}", remedy)
    yield _gpu()


def _gpu() -> Finding:
    """Whether calls and clips would run there: the engine is really opened and tried."""
    subject = "engine, NVIDIA GPU"
    if not has_driver():
        return Finding(subject, False, NO_DRIVER, "none is needed: the processor serves")
    try:
        with closing(open_backend("default", engine="tensorrt")) as backend:
            return Finding(subject, True, backend.name)
    except BackendUnavailable as error:
        return Finding(subject, False, error.reason, error.remedy)


def _networks() -> Iterator[Finding]:
    for name, precision in itertools.product(SHIPPED, get_args(Precision)):
        file = network_file(name, precision)
        subject = f"network, {name} {precision}"
        if file.is_file():
            yield Finding(subject, True, f"{file.name}, {file.stat().st_size / 1e6:.1f} MB")
        else:
            yield Finding(subject, False, f"no {file}", "restore models/ from the repository")


def _codecs() -> Iterator[Finding]:
    import av

    from stream.sinks.codecs import CODECS

    version = ".".join(map(str, av.library_versions["libavcodec"]))
    for name, codec in CODECS.items():
        try:
            av.Codec(codec.encoder, "w")
        except av.codec.codec.UnknownCodecError:
            remedy = "pip install --force-reinstall av"
            yield Finding(f"codec {name}", False, f"no {codec.encoder}", remedy)
        else:
            yield Finding(f"codec {name}", True, f"{codec.encoder} (libavcodec {version})")


def _cameras() -> Iterator[Finding]:
    try:
        there = cameras()
    except StreamError as error:
        yield Finding("camera", False, str(error), "pip install -r requirements.txt")
        return
    for camera in there:
        best = ranked(camera.modes, None, None)[:1]
        yield Finding(
            "camera", True, ", ".join([f"{camera.path}: {camera.name}", *map(said, best)])
        )
    if not there:
        yield Finding("camera", False, "none", why_none())


def _virtual_cameras() -> Iterator[Finding]:
    subject = "virtual camera"
    if not sys.platform.startswith("linux"):
        yield _virtual_camera_elsewhere(subject)
        return
    try:
        for device in loopbacks(None):
            yield Finding(subject, True, f"{device.path}: {device.name}")
    except StreamError as error:
        yield Finding(subject, False, "none", str(error))


def _virtual_camera_elsewhere(subject: str) -> Finding:
    import pyvirtualcam

    try:
        with pyvirtualcam.Camera(width=1280, height=720, fps=30) as camera:
            return Finding(subject, True, f"{camera.device} ({camera.backend})")
    except RuntimeError as error:
        remedy = "install OBS (28 or later) and start its virtual camera once"
        return Finding(subject, False, str(error).strip().splitlines()[-1], remedy)
