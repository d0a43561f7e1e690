"""A clip with its background replaced, against the same clip decoded and encoded alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import cast

import av

from stream import StreamError
from stream.bench_config import BenchConfig
from stream.bench_report import Table
from stream.config import PersonConfig, VideoConfig
from stream.main import video
from stream.reasons import reason
from stream.sinks.codecs import CODECS

_ROUNDS = 3
_CODEC = CODECS["h264"]

OnFrames = Callable[[int, int | None], None]


def against_transcode(config: BenchConfig, on_frames: OnFrames) -> list[Table]:
    """Both in turns. The encoder, its settings and its threads are the same, and so is FFmpeg:
    the libraries that the app uses, driven with nothing between decoder and encoder."""
    assert config.video is not None
    rows, ratios, plain_fps, our_fps = [], list[float](), list[float](), list[float]()
    with TemporaryDirectory() as folder:
        plain_file, our_file = Path(folder, "plain.mp4"), Path(folder, "ours.mp4")
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            frames = _transcode(config.video, plain_file)
            between = time.perf_counter()
            report = video(_ours(config, our_file), on_frames)
            ended = time.perf_counter()
            if report.frames != frames:
                raise StreamError(
                    f"cannot compare: of {config.video}, {report.frames} frames were composited "
                    f"and {frames} transcoded"
                )
            plain_fps.append(frames / (between - began))
            our_fps.append(frames / (ended - between))
            ratios.append(our_fps[-1] / plain_fps[-1])
    for name, fps in (("decoded and encoded alone", plain_fps), ("background replaced", our_fps)):
        rows.append([name, f"{median(fps):.1f}", f"{min(fps):.1f}–{max(fps):.1f}"])
    spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
    rows.append(["share of the transcode", f"{median(ratios):.2f}", spread])
    stages = [[name, f"{p50:.2f}", f"{p95:.2f}"] for name, (p50, p95) in report.stages_ms.items()]
    return [
        (["", "fps", "rounds"], rows),
        (["stage", "median ms", "95 %"], stages),
        (["", ""], [["engine", report.engine], ["frames", str(report.frames)]]),
    ]


def _ours(config: BenchConfig, output: Path) -> VideoConfig:
    assert config.video is not None
    person = {each.name: getattr(config, each.name) for each in fields(PersonConfig)}
    return VideoConfig(config.video, output, background=config.background, force=True, **person)


def _transcode(clip: str, output: Path) -> int:
    """Decode and encode the picture with nothing in between; how many frames it has."""
    frames = 0
    try:
        with av.open(clip) as source, av.open(str(output), "w") as target:
            picture = source.streams.video[0]
            picture.thread_type = "AUTO"
            context = picture.codec_context
            options = _CODEC.options_at(None, (context.height, context.width))
            stream = cast(
                av.video.VideoStream,
                target.add_stream(_CODEC.encoder, picture.average_rate, options),
            )
            stream.width, stream.height = context.width, context.height
            stream.pix_fmt, stream.time_base = context.pix_fmt, picture.time_base
            for frame in source.decode(picture):
                frame.pict_type = av.video.frame.PictureType.NONE
                target.mux(stream.encode(frame))
                frames += 1
            target.mux(stream.encode(None))
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise StreamError(f"cannot transcode {clip}: {reason(error)}") from error
    return frames
