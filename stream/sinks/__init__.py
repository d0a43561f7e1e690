"""Where composites go, one kind a file."""

from stream import StreamError


class SinkLost(StreamError):
    """The virtual camera takes no more frames; without it a call has no picture."""
