"""Others' networks in the loop that most programs run: full-size RGB, blended in NumPy's floats."""

import time
from collections.abc import Sequence
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from export.peers import Peer, open_peers
from stream.backgrounds import open_background
from stream.bench_config import BenchConfig
from stream.bench_line import WARM_UP, made_ahead
from stream.bench_report import Part, Result, pooled
from stream.blur import Blur
from stream.color import rgb_of
from stream.frame import Frame
from stream.main import limit_threads, processors
from stream.pipeline import StageClock
from stream.sinks.discard import Discard
from stream.sources.test_pattern import Loop


class PeerLine:
    """One network's loop: the frame as RGB, a matte of its size, the blend.

    It begins and ends as ours does, with planes of 4:2:0, which is what virtual cameras take. A
    picture or color lies ready as RGB; blurred is the whole frame, person included. What such
    programs do to the matte (widening, blurring, steadying it) is left out, in their favor.
    """

    def __init__(self, peer: Peer, config: BenchConfig) -> None:
        self.name = peer.name
        self._peer, self._config = peer, config
        self._frames = made_ahead(config)
        background, like = open_background(config.background), self._frames[0]
        self._blur_px = background.blur_px if isinstance(background, Blur) else None
        self._behind = np.rint(rgb_of(background.alone(like), like.size_hw) * 255).astype("u1")

    def run(self, frames: int) -> Part:
        """Warm up, carry so many frames, and tell what it took."""
        self._peer.begin(is_clip=True)
        limit_threads(0)
        clock, sink = StageClock(WARM_UP), Discard()
        cpu_s: list[float] = []  # when warm and at the end
        for frame in islice(Loop(self._frames, self._config.rate), WARM_UP + frames):
            with clock("to RGB"):
                rgb = _rgb(frame)
            with clock("network"):
                alpha = self._peer.alpha(rgb)
            with clock("composite"):
                blended = self._blended(rgb, alpha[:, :, np.newaxis])
            with clock("from RGB"):
                cv2.cvtColor(blended, cv2.COLOR_RGB2YUV_I420)
            sink.write(frame)
            if len(sink.ages_ns) in (WARM_UP, WARM_UP + frames):
                cpu_s.append(time.process_time())
        return Part(
            frames,
            sink.seconds(WARM_UP, WARM_UP + frames),
            cpu_s[1] - cpu_s[0],
            sink.ages_ms(WARM_UP, WARM_UP + frames),
            clock.times_ms(),
            network_runs=frames,
        )

    def result(self, parts: Sequence[Part], peak_rss_mb: float | None) -> Result:
        """The figures of all its parts."""
        return pooled(
            parts,
            name=self.name,
            size=self._frames[0].size_hw,
            background=self._config.background,
            rate=self._config.rate,
            threads=processors(),
            engine="OpenVINO",
            precision=None,
            peak_rss_mb=peak_rss_mb,
        )

    def close(self) -> None:
        """Nothing is held beyond the object."""

    def _blended(self, rgb: NDArray[np.uint8], alpha: NDArray[np.float32]) -> NDArray[np.uint8]:
        behind = self._behind
        if self._blur_px is not None:
            behind = cv2.GaussianBlur(rgb, (0, 0), self._blur_px * min(rgb.shape[:2]) / 720)
        return (alpha * rgb + (1 - alpha) * behind).astype(np.uint8)


def open_peer_lines(config: BenchConfig) -> list[PeerLine]:
    """A loop for every network of the folder that there is a recipe for."""
    assert config.peers is not None
    return [PeerLine(peer, config) for peer in open_peers(config.peers)]


def _rgb(frame: Frame) -> NDArray[np.uint8]:
    """(H, W, 3): what OpenCV's capture does of itself, in one pass."""
    h, w = frame.size_hw
    whole = np.concatenate([plane.ravel() for plane in frame.planes]).reshape(h * 3 // 2, w)
    return cv2.cvtColor(whole, cv2.COLOR_YUV2RGB_I420)
