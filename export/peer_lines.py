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
from stream.bench_report import Part, Result, pooled, processors
from stream.blur import Blur
from stream.color import rgb_of
from stream.frame import Frame
from stream.main import limit_threads
from stream.sources.test_pattern import Loop

_STAGES = ("to RGB", "network", "composite", "from RGB")
_BLUR_PX = 18.0  # at 720 lines, as ours by default


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
        self._behind = None
        background = open_background(config.background)
        if not isinstance(background, Blur):
            like = self._frames[0]
            self._behind = np.rint(rgb_of(background.alone(like), like.size_hw) * 255).astype("u1")

    def run(self, frames: int) -> Part:
        """Warm up, carry so many frames, and tell what it took."""
        self._peer.forget()
        limit_threads(0)
        stages: dict[str, list[float]] = {name: [] for name in _STAGES}
        ages_ms: list[float] = []
        cpu_s = [0.0]
        moments_s = [0.0]
        for number, frame in enumerate(
            islice(Loop(self._frames, self._config.rate), WARM_UP + frames)
        ):
            if number == WARM_UP:
                cpu_s, began_s = [time.process_time()], time.perf_counter()
            moments_s = [time.perf_counter()]
            rgb = _rgb(frame)
            moments_s.append(time.perf_counter())
            alpha = self._peer.alpha(rgb)
            moments_s.append(time.perf_counter())
            blended = self._blended(rgb, alpha[:, :, np.newaxis])
            moments_s.append(time.perf_counter())
            cv2.cvtColor(blended, cv2.COLOR_RGB2YUV_I420)
            moments_s.append(time.perf_counter())
            if number >= WARM_UP:
                ages_ms.append((time.monotonic_ns() - frame.captured_ns) / 1e6)
                for (_, spent_ms), before_s, after_s in zip(
                    stages.items(), moments_s, moments_s[1:], strict=False
                ):
                    spent_ms.append(1000 * (after_s - before_s))
        cpu = time.process_time() - cpu_s[0]
        return Part(frames, moments_s[-1] - began_s, cpu, ages_ms, stages, frames)

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
        if behind is None:
            behind = cv2.GaussianBlur(rgb, (0, 0), _BLUR_PX * min(rgb.shape[:2]) / 720)
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
