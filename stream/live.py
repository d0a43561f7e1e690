"""live(config): the webcam into a virtual camera; knows the concrete parts of that."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

from stream.attendant import Attendant, Readers
from stream.backends import open_backend
from stream.backgrounds import open_background
from stream.config import VIRTUAL_CAMERA, LiveConfig
from stream.control import LiveControl, Settings
from stream.foreground import clean
from stream.frame import Alpha, Frame, gray_frame
from stream.interfaces import Backend
from stream.keys import press, terminal_keys
from stream.main import held, limit_threads, refiner, where_it_runs
from stream.meter import Meter
from stream.pipeline import StageClock, Stages, run
from stream.report import Report
from stream.segmenter import CautiousSegmenter, display_hw
from stream.signals import ignore_endings
from stream.sinks.loopbacks import loopbacks
from stream.sinks.recorder import Recorder
from stream.sinks.several import Several
from stream.sinks.virtual_camera import VirtualCamera
from stream.sinks.window import Window, WindowClosed
from stream.sources.camera import Camera
from stream.sources.cameras import find_again, find_camera
from stream.sources.live import Live
from stream.sources.rehearsal import Rehearsal
from stream.status import status
from stream.wardrobe import Wardrobe

log = logging.getLogger(__name__)

Output = VirtualCamera | Window | Recorder
OnSecond = Callable[[str], None]  # hears the status line


def live(config: LiveConfig, on_second: OnSecond = lambda line: None) -> Report:
    """The webcam into a virtual camera until somebody ends it; Ctrl-C is the usual end.

    Raises StreamError where something cannot be opened, or the virtual camera is lost.
    """
    began = time.monotonic()
    _check(config)
    control = LiveControl(Settings(config.background, config.mirror))
    clock = StageClock()
    with ExitStack() as stack:
        opened = partial(held, stack)
        camera = opened(_open_camera(config))
        like = gray_frame(camera.size_hw)
        again = partial(_open_again, config, camera)
        # It captures from now on: what waited while the rest is opened would come late.
        source = opened(Live(camera, again, like, float(camera.rate), control))
        wardrobe = opened(Wardrobe(control, config.backgrounds, like))
        backend = opened(_open_engine(config, display_hw(like)))
        backend.fit(display_hw(like))  # made ready before anything is shown
        segmenter = CautiousSegmenter(backend)
        outputs = [opened(_open_output(word, config, like, camera.rate)) for word in config.output]
        meter = Meter(Several(outputs))
        source.on_rest = meter.rest
        here = Stages(segmenter, refiner(config), partial(_cleaned, config, wardrobe), wardrobe)
        up, stages, down = where_it_runs(
            stack, source, here, meter, backend=backend, config=config, like=like
        )
        on_key = partial(press, control=control, wardrobe=wardrobe)
        if (keys := terminal_keys(on_key)) is not None:
            opened(keys)
        tick = partial(_tick, on_second, meter, control, wardrobe, source, segmenter, outputs)
        opened(Attendant(control, keys, _readers(config, outputs), tick))
        stack.callback(ignore_endings)  # a second Ctrl-C must not spoil what is being finished
        with suppress(KeyboardInterrupt, WindowClosed):
            _say(camera, outputs, backend, keys)
            run(up, *stages, down, clock, partial(_typed, outputs, on_key))
    notes = [*_told(meter, source), *(n for part in (camera, *outputs) for n in part.notes)]
    shown, seconds = ", ".join(each.name for each in outputs), time.monotonic() - began
    stages_ms = clock.percentiles_ms(50, 95)
    return Report(meter.frames, seconds, backend.name, shown, stages_ms=stages_ms, notes=notes)


def _check(config: LiveConfig) -> None:
    """Raise StreamError for what would fail, before the camera's light goes on."""
    with closing(open_background(config.background)):
        pass
    for word in config.output:
        if sys.platform == "linux" and not _is_recording(word) and word != "window":
            loopbacks(None if word == VIRTUAL_CAMERA else word)


def _say(
    camera: Camera | Rehearsal, outputs: list[Output], backend: Backend, keys: object | None
) -> None:
    """What was opened, in a line, and what is less than was asked for."""
    shown = ", ".join(output.name for output in outputs)
    ends = "Ctrl-C ends" if keys is None else "q or Ctrl-C ends, h helps"
    log.info("%s, %s, to %s, by %s; %s", camera.name, camera.granted, shown, backend.name, ends)
    for part in (camera, *outputs):
        for note in part.notes:
            log.info("%s", note)


def _tick(
    on_second: OnSecond,
    meter: Meter,
    control: LiveControl,
    wardrobe: Wardrobe,
    source: Live,
    segmenter: CautiousSegmenter,
    outputs: list[Output],
) -> None:
    failing = segmenter.failure and f"network failing: {segmenter.failure}"
    recording = (output.state for output in outputs if isinstance(output, Recorder))
    states = [state for state in (source.trouble, failing, *recording) if state]
    settings = replace(control.settings, background=wardrobe.shown)
    on_second(status(meter.figures(), settings, source.dropped, states))


def _typed(outputs: list[Output], on_key: Callable[[str], None], done: int) -> None:
    """Pass on what was typed in a window."""
    for output in outputs:
        if isinstance(output, Window) and output.last_key is not None:
            on_key(output.last_key)


def _told(meter: Meter, source: Live) -> list[str]:
    """What there is to say about the whole of a run."""
    p50, p95, p99 = (meter.latency.percentile_ms(percent) for percent in (50, 95, 99))
    return [
        f"latency, camera to output, ms: median {p50:.0f}, 95 % {p95:.0f}, 99 % {p99:.0f}; "
        f"longest gap between frames {meter.longest_gap_ms:.0f}",
        f"{source.dropped} frames of the camera dropped, {source.broken} broken, "
        f"{meter.stand_ins} without a picture; camera lost {source.losses} times",
    ]


def _cleaned(config: LiveConfig, wardrobe: Wardrobe, frame: Frame, alpha: Alpha) -> Frame:
    """The frame with clean edges, where the background of the moment blends with them."""
    return clean(frame, alpha) if config.edges == "clean" and wardrobe.blends else frame


def _open_engine(config: LiveConfig, shown_hw: tuple[float, float]) -> Backend:
    """The engine that was asked for, at the network's own size, which a camera leaves time for."""
    limit_threads(config.threads)
    return open_backend(
        config.network,
        engine=config.engine,
        precision=config.precision,
        shown_hw=shown_hw,
        threads=config.threads,
    )


def _open_camera(config: LiveConfig) -> Camera | Rehearsal:
    if config.camera is not None and _is_clip(config.camera):
        return Rehearsal(config.camera, config.size_hw, config.rate)
    return Camera(find_camera(config.camera), config.size_hw, config.rate)


def _is_clip(spec: str) -> bool:
    return "://" in spec or Path(spec).is_file()


def _open_again(config: LiveConfig, camera: Camera | Rehearsal) -> Camera | Rehearsal | None:
    """The camera that was lost or let go, wherever it is now; None while it is away."""
    if isinstance(camera, Rehearsal):
        return _open_camera(config)
    device = find_again(camera.device)
    if device is None:
        return None
    found = Camera(device, config.size_hw, config.rate)
    for note in found.notes:
        if note not in camera.notes:
            log.info("%s", note)
    return found


def _open_output(word: str, config: LiveConfig, like: Frame, rate: Fraction) -> Output:
    if word == "window":
        return Window("video background remover")
    if _is_recording(word):
        return Recorder(Path(word), like, rate=rate, force=config.force)
    return VirtualCamera(None if word == VIRTUAL_CAMERA else word, like.size_hw, float(rate))


def _is_recording(word: str) -> bool:
    """Whether it is a file's name, and not that of a device."""
    return not word.startswith("/dev/") and (Path(word).suffix[1:].isalnum() or "/" in word)


def _readers(config: LiveConfig, outputs: list[Output]) -> Readers | None:
    """Who watches, where the camera may rest while nobody does."""
    if config.always_on or len(outputs) > 1 or not isinstance(outputs[0], VirtualCamera):
        return None
    return outputs[0].readers()
