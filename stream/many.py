"""videos(config): one clip, or several in one run, each on a line and a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from stream import StreamError
from stream.backends.together import Together
from stream.config import ClipConfig, VideoConfig, VideosConfig
from stream.main import OnProgress, held, open_engine, unheard, video
from stream.report import Report, Reports
from stream.sinks.codecs import suffix_for
from stream.staging import Interrupted, check_name, check_pairs, make_folder

_AT_ONCE = 8  # clips, each with its decoder, queues and encoder: 400 MB at 8K in queues alone
_POLL_S = 0.2  # a wait without a time limit cannot be interrupted on Windows


def videos(config: VideosConfig, on_progress: OnProgress = unheard) -> Reports:
    """Replace the background of clips; each output is whole or not there.

    Of several, one that fails does not end the others: `failures` names it. Raises StreamError
    where nothing can be begun, or Interrupted after Ctrl-C.
    """
    began = time.monotonic()
    clips = clips_of(config)
    if len(clips) == 1:
        return Reports([video(clips[0], on_progress)])
    make_folder(config.output)
    with ExitStack() as stack:
        # One size of batch whatever the number of clips: each would have an engine to be built.
        backend = held(stack, open_engine(config, config.engine, batch=_AT_ONCE))
        done = _carried(clips, Together(backend), on_progress)
    return _reported(clips, done, time.monotonic() - began)


def clips_of(config: VideosConfig) -> list[VideoConfig]:
    """Every clip with what becomes of it. Raises StreamError before anything is made."""
    choices = {field.name: getattr(config, field.name) for field in fields(ClipConfig)}
    inputs, output = config.inputs, config.output
    if len(inputs) == 1:
        return [VideoConfig(inputs[0], output, **choices)]
    for path in config.paths:
        check_name(Path(path))
    if not output.is_dir() and (output.suffix or output.exists()):
        raise StreamError(f"cannot put {len(inputs)} clips into {output}: give a folder as OUTPUT")
    pairs = [(each, output / _name(each, config)) for each in inputs]
    check_pairs(pairs, config.force)
    return [VideoConfig(source, target, **choices) for source, target in pairs]


def _name(source: str, config: VideosConfig) -> str:
    """What a clip's output is called: as the clip, where such a file can hold it."""
    is_url, is_folder = "://" in source, Path(source).is_dir()
    path = PurePosixPath(urlsplit(source).path) if is_url else Path(source).absolute()
    stem, suffix = (path.name, "") if is_folder else (path.stem, path.suffix)
    if stem in ("", ".."):
        raise StreamError(f"cannot name what becomes of {source}: give it alone, and a file's name")
    return stem + suffix_for(suffix, config.codec, config.background == "transparent")


def _carried(
    clips: Sequence[VideoConfig], together: Together, on_progress: OnProgress
) -> list[Future[Report]]:
    """What became of each clip, when all are done. Raises Interrupted."""
    count = _Count(on_progress, len(clips))
    done: list[Future[Report]] = []
    with ThreadPoolExecutor(_AT_ONCE, "clip") as pool:
        try:
            for number, clip in enumerate(clips):
                done.append(pool.submit(video, clip, count.of(number), together.seat))
            while wait(done, _POLL_S).not_done:
                pass
        except KeyboardInterrupt:
            count.stop()
            together.stop()
            pool.shutdown(cancel_futures=True)
            raise Interrupted(_kept(done)) from None
    return done


def _kept(done: Sequence[Future[Report]]) -> str:
    """What Ctrl-C left of the clips, a line each."""
    ended = [each for each in done if not each.cancelled()]
    errors = [each.exception() for each in ended]
    whole = f"interrupted: {errors.count(None)} of {len(done)} clips are whole"
    told = (str(error).removeprefix("interrupted: ") for error in errors if error is not None)
    return "\n".join([whole, *told])


class _Count:
    """The frames of several clips as those of one; after `stop` it ends their lines."""

    def __init__(self, on_progress: OnProgress, clips: int) -> None:
        self._on_progress = on_progress
        self._done, self._expected = [0] * clips, list[int | None]([None] * clips)
        self._turn, self._stopped = threading.Lock(), threading.Event()

    def stop(self) -> None:
        """Raise KeyboardInterrupt in each line at its next frame, as Ctrl-C does in one alone."""
        self._stopped.set()

    def of(self, clip: int) -> OnProgress:
        """What hears of one clip's frames."""

        def tell(done: int, expected: int | None) -> None:
            if self._stopped.is_set():
                raise KeyboardInterrupt
            with self._turn:
                self._done[clip], self._expected[clip] = done, expected
                known = [each for each in self._expected if each is not None]
                whole = sum(known) if len(known) == len(self._expected) else None
                self._on_progress(sum(self._done), whole)

        return tell


def _reported(
    clips: Sequence[VideoConfig], done: Sequence[Future[Report]], seconds: float
) -> Reports:
    """The reports of what is done, and why the rest is not."""
    whole = Reports([], seconds)
    for clip, each in zip(clips, done, strict=True):
        error = each.exception()
        if error is None:
            whole.reports.append(each.result())
        elif isinstance(error, StreamError):
            whole.failures.append(f"{clip.input} failed: {error}")
        else:
            raise error
    return whole
