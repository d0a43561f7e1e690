"""Why FFmpeg or the system refused, in a few words."""

from __future__ import annotations

import errno


def reason(error: BaseException) -> str:
    """The library's own words, and what to do where one thing is always the cure."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{words}: free some space or write to another disk"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{words}: choose a folder that you may write to"
    return words
