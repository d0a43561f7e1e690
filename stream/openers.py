"""Openers: who watches a virtual camera, where its driver cannot tell."""

from __future__ import annotations

import ctypes
import os
import struct

from stream.holders import holders

_OPEN, _CLOSE = 0x20, 0x08 | 0x10  # linux/inotify.h
_EVENT = struct.Struct("iIII")  # then a name, which a watched device has not


class Openers:
    """Counts the programs that have a device open, by inotify: no processor time in between.

    For v4l2loopback before 0.13, in place of `v4l2.Readers`; it takes a program that only looks at
    the device for one that reads it. What this program opens for itself later must be closed again.
    """

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        libc = ctypes.CDLL(None, use_errno=True)
        self._count = len(holders(path))
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
        while raw := self._read():
            changed = True
            for _, mask, _, _ in _EVENT.iter_unpack(raw):
                self._count += bool(mask & _OPEN) - bool(mask & _CLOSE)
        self._count = max(self._count, 0)  # one that was not seen, of another user, has left
        return self._count > 0 if changed else None

    def close(self) -> None:
        """Stop listening; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, 256 * _EVENT.size)
        except BlockingIOError:
            return b""
