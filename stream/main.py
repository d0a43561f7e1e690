"""video(config), image(config): the only file that knows the concrete parts."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import cv2
import numpy as np

from stream import StreamError
from stream.backends import WIDE, open_backend
from stream.backgrounds import open_background
from stream.config import ImageConfig, PersonConfig, VideoConfig
from stream.foreground import Clean, as_it_came, clean
from stream.frame import Frame
from stream.interfaces import Backend, Background, Sink, Source
from stream.matte import MatteRefiner, along_edges, evenly
from stream.networks import EngineName, recorded_area
from stream.overlap import ReadAhead, WriteBehind
from stream.pipeline import StageClock, Stages, run
from stream.report import Report
from stream.second_look import TwiceSegmenter
from stream.segmenter import Segmenter, display_hw
from stream.sinks.clip import ClipWriter
from stream.sinks.codecs import codec_for
from stream.sinks.pictures import PictureFolder, write_picture
from stream.sources.pictures import Pictures, pictures_in, read_picture
from stream.sources.video_file import VideoFile
from stream.staging import check_name, check_pairs, make_folder, staged

if TYPE_CHECKING:
    from stream.gpu.line import GpuLine

_QUEUE_FRAMES = 4  # enough to even out frames of uneven cost; 200 MB at 8K

OnProgress = Callable[[int, int | None], None]  # (frames done, frames expected if known)
OpenEngine = Callable[[tuple[float, float]], Backend]  # for frames shown at this size


def unheard(done: int, total: int | None) -> None:
    """Tell nobody of progress."""


def video(
    config: VideoConfig, on_progress: OnProgress = unheard, engine: OpenEngine | None = None
) -> Report:
    """Replace the background of a clip; the output is whole or not there.

    It has an engine of its own, or what `engine` gives it. Raises StreamError, or Interrupted
    after Ctrl-C, when what was done lies beside the output.
    """
    began = time.monotonic()
    _check(config)
    clock = StageClock()
    own = partial(open_engine, config, config.engine)
    with ExitStack() as stack:
        opened = partial(held, stack)
        background = opened(open_background(config.background))
        source = opened(_open_source(config))
        backend = opened((engine or own)(display_hw(source.first)))
        place = stack.enter_context(_place(config, clock))
        sink = _open_sink(config, place, background, source)
        here = Stages(Segmenter(backend), refiner(config), cleaning(config, background), background)
        ahead = opened(ReadAhead(source, _QUEUE_FRAMES))
        behind = opened(WriteBehind(sink, _QUEUE_FRAMES))
        up, stages, down = where_it_runs(
            stack, ahead, here, behind, backend=backend, config=config, like=source.first
        )
        is_ahead = stages is here and (config.threads or processors()) > 1
        told = partial(_tell, on_progress, source)
        frames = run(up, *stages, down, clock, told, ahead=is_ahead)
        if engine is not None:
            backend.close()  # now: others wait for it, and encoding the rest may take long
    return Report(
        frames=frames,
        seconds=time.monotonic() - began,
        engine=backend.name,
        output=str(config.output),
        stages_ms=clock.percentiles_ms(50, 95),
        notes=source.notes + sink.notes,
        losses=source.losses,
    )


def _tell(on_progress: OnProgress, source: VideoFile | Pictures, done: int) -> None:
    on_progress(done, source.frames_expected)


def where_it_runs(
    stack: ExitStack,
    source: Source,
    stages: Stages,
    sink: Sink,
    *,
    backend: Backend,
    config: PersonConfig,
    like: Frame,
) -> tuple[Source, Stages, Sink]:
    """Source, stages and sink as they are, or the GPU's twins, with a step up and a step down.

    Raises BackendUnavailable where a GPU was asked for and does not do frames like `like` right.
    """
    line = line_on_gpu(stack, stages, backend=backend, config=config, like=like)
    if line is None:
        return source, stages, sink
    return line.up(source), line.stages, held(stack, line.down(sink, source.is_live))


def line_on_gpu(
    stack: ExitStack, stages: Stages, *, backend: Backend, config: PersonConfig, like: Frame
) -> GpuLine | None:
    """The GPU's line for frames like `like`, closed with the stack; None where there is none."""
    if config.engine == "cpu":
        return None
    from stream.gpu.choice import on_gpu

    line = on_gpu(stages, backend, config, like)
    return line and held(stack, line)


class _Closable(Protocol):
    def close(self) -> None: ...


_Part = TypeVar("_Part", bound=_Closable)


def held(stack: ExitStack, part: _Part) -> _Part:
    """The part, closed when the stack is."""
    return stack.enter_context(closing(part))


def open_engine(
    config: PersonConfig,
    engine: EngineName,
    shown_hw: tuple[float, float] = WIDE,
    batch: int = 1,
    is_ahead: bool = True,
) -> Backend:
    """The engine that was asked for, at the size for what is recorded; `is_ahead` as for run().

    For pictures, auto means the processor: an engine for each of their shapes takes longer to
    build than the pictures take.
    """
    for_network, for_opencv = shared_out(config.threads, is_ahead)
    limit_threads(for_opencv)
    return open_backend(
        config.network,
        recorded_area(config.network),
        engine=engine,
        precision=config.precision,
        shown_hw=shown_hw,
        batch=batch,
        threads=for_network,
    )


def shared_out(threads: int, is_ahead: bool) -> tuple[int, int]:
    """How many threads the network gets, and how many each of OpenCV's steps.

    All there are, if they take turns; if the network goes ahead, one is left to the others, which
    is enough: two that wait for each other busily take half as much again of the processor.
    """
    threads = threads or processors()
    return (max(1, threads - 1), 1) if is_ahead else (threads, threads)


def processors() -> int:
    """How many this program may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def limit_threads(threads: int) -> None:
    """So many for each of OpenCV's steps; 0: as many as the processor has."""
    cv2.setNumThreads(threads or -1)


def refiner(config: PersonConfig) -> MatteRefiner:
    """What brings the network's mattes to the frames' size."""
    enlarge = evenly if config.edges == "plain" else along_edges
    return MatteRefiner(config.grow, config.feather, enlarge)


def cleaning(config: PersonConfig, background: Background) -> Clean:
    """What frees the edges of the old room, where that is wanted and can be seen."""
    return clean if config.edges == "clean" and background.blends else as_it_came


def _check(config: VideoConfig) -> None:
    check_name(Path(config.input))
    check_name(config.output)
    if (
        config.output.exists()
        and Path(config.input).exists()
        and config.output.samefile(config.input)
    ):
        raise StreamError(f"cannot write {config.output} over itself: give OUTPUT another name")


def _place(config: VideoConfig, clock: StageClock) -> AbstractContextManager[Path]:
    """Where the output is written until it is whole."""
    is_folder = config.output.is_dir() or not config.output.suffix
    return staged(config.output, config.force, is_folder, begun=partial(clock.count, "write"))


def _open_source(config: VideoConfig) -> VideoFile | Pictures:
    if Path(config.input).is_dir():
        return Pictures(Path(config.input), config.rate)
    return VideoFile(config.input, carry=True)


def _open_sink(
    config: VideoConfig, place: Path, background: Background, source: VideoFile | Pictures
) -> ClipWriter | PictureFolder:
    """A sink for frames like the first composite."""
    if place.is_dir():
        return PictureFolder(place, shown=config.output)
    like = background.compose(source.first, np.zeros(source.first.size_hw, np.float32))
    return ClipWriter(
        place,
        like,
        codec_for(config.output, config.codec, like.layout.has_alpha, like.layout.depth),
        shown=config.output,
        rate=source.rate,
        quality=config.quality,
        carried=source.carried,
    )


def image(config: ImageConfig, on_progress: OnProgress = unheard) -> Report:
    """Replace the background of pictures, each written whole or not at all."""
    began = time.monotonic()
    pairs = _pairs(config)
    done, losses = 0, list[str]()
    with ExitStack() as stack:
        background = held(stack, open_background(config.background))
        engine = "cpu" if config.engine == "auto" else config.engine
        backend = held(stack, open_engine(config, engine, is_ahead=False))
        segmenter, matte = TwiceSegmenter(backend), refiner(config)
        cleaned = cleaning(config, background)
        for source, target in pairs:
            try:
                picture = read_picture(source)
            except StreamError as error:
                losses.append(str(error))
                continue
            alpha = segmenter.segment(picture.frame)
            assert alpha is not None, "a picture is no stand-in"
            alpha = matte.refine(alpha, picture.frame)
            composite = background.compose(cleaned(picture.frame, alpha), alpha)
            if len(pairs) > 1 or target != config.output:
                make_folder(target.parent)
            with staged(target, config.force, False, begun=lambda: False) as place:
                write_picture(place, composite, picture.icc_profile, shown=target)
            done += 1
            on_progress(done, len(pairs))
    if not done:
        raise StreamError(losses[0])
    seconds = time.monotonic() - began
    return Report(done, seconds, backend.name, str(config.output), "pictures", losses=losses)


def _pairs(config: ImageConfig) -> list[tuple[Path, Path]]:
    """Every picture with the file that it becomes. Raises StreamError before anything is made."""
    for path in config.paths:
        check_name(path)
    sources = [
        path
        for entry in config.inputs
        for path in (pictures_in(entry) if entry.is_dir() else [entry])
    ]
    output = config.output
    if len(sources) == 1 and output.suffix and not output.is_dir():
        pairs = [(sources[0], output)]
    elif output.suffix and not output.is_dir():
        raise StreamError(
            f"cannot put {len(sources)} pictures into {output}: give a folder as OUTPUT"
        )
    else:
        pairs = [(source, output / f"{source.stem}.png") for source in sources]
    check_pairs(pairs, config.force)
    return pairs
