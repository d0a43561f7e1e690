"""Several: the same composites to more than one place."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack

from stream import StreamError
from stream.frame import Frame
from stream.interfaces import Sink
from stream.sinks import SinkLost

log = logging.getLogger(__name__)


class Several:
    """Writes each frame to all sinks, in their order.

    A window or recording that fails is closed, left out and told in the log; a virtual camera that
    is lost is raised, and so is the failure of the last sink.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._all = list(sinks)
        self._writing = list(sinks)

    def write(self, frame: Frame) -> None:
        """Write one frame to each that still takes any."""
        for sink in list(self._writing):
            try:
                sink.write(frame)
            except SinkLost:
                raise
            except StreamError as error:
                self._writing.remove(sink)
                if not self._writing:
                    raise
                log.warning("%s", error)
                sink.close()

    def close(self) -> None:
        """Close all, also where one fails, whose error is then raised; safe to call twice."""
        with ExitStack() as stack:
            for sink in reversed(self._all):
                stack.callback(sink.close)
