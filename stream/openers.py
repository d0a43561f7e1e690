"""Openers: who watches a virtual camera, where its driver cannot tell."""

from __future__ import annotations

import ctypes
import os

from stream.holders import holders

_OPEN, _CLOSE = 0x20, 0x08 | 0x10  # linux/inotify.h
_EVENT_BYTES = 16  # then a name, which a watched device has not


class Openers:
    """Looks who has a device open whenever inotify tells of a change: no processor time else.

    For v4l2loopback before 0.13, in place of `v4l2.Readers`. It takes a program that only looks at
    the device for one that reads it, and does not see those of other users.
    """

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        libc = ctypes.CDLL(None, use_errno=True)
        self._path = path
        self._told = False
        self._fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if libc.inotify_add_watch(self._fd, os.fsencode(path), _OPEN | _CLOSE) < 0:
            error = ctypes.get_errno()
            self.close()
            raise OSError(error, os.strerror(error), path)

    def fileno(self) -> int:
        """For select and poll: there is something to read after a change."""
        return self._fd

    def watching(self) -> bool | None:
        """Whether anybody has it open; None: nothing has changed since the last call."""
        changed = not self._told
        self._told = True
        while self._read():
            changed = True
        return bool(holders(self._path)) if changed else None

    def close(self) -> None:
        """Stop listening; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, 256 * _EVENT_BYTES)
        except BlockingIOError:
            return b""
