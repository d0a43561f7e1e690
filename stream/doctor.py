"""What this machine has, and what to do about what it lacks."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import itertools
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from stream.networks import SHIPPED, Precision, network_file

_VIDIOC_QUERYCAP = 0x80685600  # linux/videodev2.h
_CAPTURE, _OUTPUT, _DEVICE_CAPS = 0x1, 0x2, 0x80000000
_LOOPBACK = "v4l2 loopback"

_MAKE_LOOPBACK = (
    "install v4l2loopback-dkms, then: sudo modprobe v4l2loopback exclusive_caps=1 "
    'card_label="Virtual Camera"'
)


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
    subject = "engine, NVIDIA GPU"
    if not Path("/proc/driver/nvidia/version").exists() and not _has_windows_driver():
        return Finding(subject, False, "no NVIDIA driver", "none is needed: the processor serves")
    for package in ("tensorrt", "tensorrt_rtx"):
        if importlib.util.find_spec(package):
            version = importlib.metadata.version(package.replace("_", "-"))
            return Finding(subject, False, f"{package} {version}", "not used by the app yet")
    return Finding(subject, False, "driver found, no TensorRT", "not used by the app yet")


def _has_windows_driver() -> bool:
    root = os.environ.get("SYSTEMROOT")
    return root is not None and Path(root, "System32", "nvcuda.dll").exists()


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
    if not sys.platform.startswith("linux"):
        yield from _cameras_elsewhere()
        return
    found = False
    for path, driver, card, capabilities in _video_devices():
        if driver != _LOOPBACK and capabilities & _CAPTURE:
            found = True
            yield Finding("camera", True, f"{path}: {card} ({driver})")
    for path in sorted(Path("/dev").glob("video*")):
        if not os.access(path, os.R_OK | os.W_OK):
            found = True
            remedy = "sudo usermod -aG video $USER, then log in anew"
            yield Finding("camera", False, f"{path}: no permission", remedy)
    if not found:
        yield Finding("camera", False, "none", "plug one in; `lsusb` shows whether Linux sees it")


def _cameras_elsewhere() -> Iterator[Finding]:
    if importlib.util.find_spec("cv2_enumerate_cameras") is None:
        remedy = "pip install cv2-enumerate-cameras"
        yield Finding("camera", False, "cannot be listed on this system", remedy)
        return
    from cv2_enumerate_cameras import enumerate_cameras

    cameras = list(enumerate_cameras())
    for camera in cameras:
        yield Finding("camera", True, f"{camera.index}: {camera.name}")
    if not cameras:
        yield Finding("camera", False, "none", "plug one in and allow this program to use it")


def _virtual_cameras() -> Iterator[Finding]:
    subject = "virtual camera"
    if not sys.platform.startswith("linux"):
        yield _virtual_camera_elsewhere(subject)
        return
    found = [(path, card) for path, driver, card, _ in _video_devices() if driver == _LOOPBACK]
    for path, card in found:
        yield Finding(subject, True, f"{path}: {card}")
    if not found:
        yield Finding(subject, False, "none", _MAKE_LOOPBACK)


def _virtual_camera_elsewhere(subject: str) -> Finding:
    import pyvirtualcam

    try:
        with pyvirtualcam.Camera(width=1280, height=720, fps=30) as camera:
            return Finding(subject, True, f"{camera.device} ({camera.backend})")
    except RuntimeError as error:
        remedy = "install OBS (28 or later) and start its virtual camera once"
        return Finding(subject, False, str(error).strip().splitlines()[-1], remedy)


def _video_devices() -> Iterator[tuple[Path, str, str, int]]:
    """(path, driver, card, capabilities) of every V4L2 device that may be opened."""
    import fcntl

    for path in sorted(Path("/dev").glob("video*")):
        answer = bytearray(104)  # struct v4l2_capability
        try:
            with path.open("rb", buffering=0) as device:
                fcntl.ioctl(device, _VIDIOC_QUERYCAP, answer)
        except OSError:
            continue
        driver, card, _, _, device_wide, own = struct.unpack("=16s32s32sIII12x", answer)
        capabilities = own if device_wide & _DEVICE_CAPS else device_wide
        yield path, _text(driver), _text(card), capabilities


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode(errors="replace")
