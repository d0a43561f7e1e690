"""Linux's virtual cameras (v4l2loopback): which one to send to, and what to do without one."""

from __future__ import annotations

import os
from pathlib import Path

from stream import StreamError
from stream.holders import holders
from stream.v4l2 import Device, device_at, devices

MAKE = (
    "install v4l2loopback (Debian, Ubuntu: sudo apt install v4l2loopback-dkms; Fedora: the package "
    "v4l2loopback of RPM Fusion), then: sudo modprobe v4l2loopback devices=1 exclusive_caps=1 "
    'card_label="Virtual Camera"'
)
_RELOAD = (
    "sudo modprobe -r v4l2loopback; sudo modprobe v4l2loopback devices=1 exclusive_caps=1 "
    'card_label="Virtual Camera"'
)


def loopbacks(asked: str | None) -> list[Device]:
    """The virtual cameras to try, in this order: all, or the one that was asked for.

    `asked` is a path, a number or a part of the name. Raises StreamError where there is none.
    """
    there = devices()
    found = [device for device in there if device.is_loopback]
    if asked is not None:
        return [_asked_for(asked, found)]
    if not found:
        raise StreamError(f"cannot find a virtual camera: {_why_none()}")
    return found


def said(device: Device) -> str:
    """Name and path of a device, for messages."""
    return f"{device.path} ({device.name})"


def why_busy(device: Device) -> str:
    """Why a virtual camera takes no frames now."""
    by = ", ".join(holders(device.path))
    if by:
        return f"{said(device)} is in use by {by}"
    # Drivers before 0.13 do not take frames a second time from programs that write() them.
    return (
        f"{said(device)} takes no frames and no program of yours holds it (one of another user, or "
        f"an old driver after its first use; {_RELOAD})"
    )


def _asked_for(asked: str, found: list[Device]) -> Device:
    path = f"/dev/video{asked}" if asked.isdecimal() else asked
    if path.startswith("/"):
        same = [device for device in found if device.path == os.path.realpath(path)]
    else:
        same = [device for device in found if asked.casefold() in device.name.casefold()]
    if same:
        return same[0]
    other = device_at(path) if path.startswith("/") else None
    if other is not None:
        why = f"it is {other.name} (driver {other.driver}), no virtual camera"
    elif path.startswith("/") and Path(path).exists() and not _may_use(path):
        why = _NO_PERMISSION
    else:
        why = "there is none of that name" if not path.startswith("/") else "it is not there"
    if why != _NO_PERMISSION:
        why += f"; there are {', '.join(map(said, found))}" if found else f"; {_why_none()}"
    raise StreamError(f"cannot send to {asked}: {why}")


_NO_PERMISSION = "no permission: sudo usermod -aG video $USER, then log in anew"


def _may_use(path: str | Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


def _why_none() -> str:
    paths = sorted(Path("/dev").glob("video*"))
    if paths and not any(map(_may_use, paths)):
        return f"{', '.join(map(str, paths))}: {_NO_PERMISSION}"
    return MAKE
