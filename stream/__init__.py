"""Run: frames in, composited frames out."""


class StreamError(Exception):
    """Something the user can act on: the message says what failed and what to try."""
