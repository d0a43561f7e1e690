"""A trial: an engine on a GPU must give the processor's answers before it is trusted.

Elsewhere the wrong choice shows as a black picture, or as a matte that never changes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.backends import BackendUnavailable
from stream.interfaces import Backend, Batching

# Mean difference of alpha. On 512 real frames fp16 is 0.0001 away from fp32 and int8 0.003 (export
# prints it), and `person` answers two of these pictures 0.06 apart.
MOST_APART = 0.02
_TRIED = 2  # pictures: one that is never forgotten must not pass for two


def check_agreement(gpu: Batching, processor: Backend, shown_hw: tuple[float, float]) -> None:
    """Show both the same pictures, and all at once where the GPU takes several.

    Raises BackendUnavailable where they do not agree.
    """
    input_hw = gpu.fit(shown_hw)
    processor.fit(shown_hw)
    trials = [probe(input_hw, seed) for seed in range(_TRIED)]
    if gpu.batch >= _TRIED:
        images, mattes = zip(*trials, strict=True)
        trials.append((np.concatenate(images), np.concatenate(mattes)))
    for image, previous in trials:
        wanted = processor.infer(image, previous).copy()
        apart = float(np.abs(gpu.infer(image, previous) - wanted).mean((1, 2, 3)).max())
        if not apart <= MOST_APART:
            raise BackendUnavailable(
                f"{gpu.name} does not compute what the processor computes: alphas are "
                f"{apart:.3f} apart, at most {MOST_APART} is allowed",
                "update NVIDIA's driver and TensorRT, or take --engine cpu",
            )


def probe(
    input_hw: tuple[int, int], seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A picture (1, H, W, 3) with everything in it, and a matte (1, H, W, 1) before it.

    Slopes, edges, noise, black and white, and before them something like a person, or networks for
    people have little to say; a disk with a soft edge. Another seed, other places.
    """
    h, w = input_hw
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:h, 0:w] / max(h, w)
    waves = np.stack([np.sin(9 * x + 5 * y), np.cos(7 * y * x), x - y], axis=-1)
    picture = 127 + 90 * waves + rng.normal(0, 20, (h, w, 3))
    middle = 0.5 - 0.2 * seed
    picture[(np.hypot((y - 0.62) * 0.7, x - middle) < 0.24) & (y > 0.3)] = (40, 60, 120)
    picture[np.hypot((y - 0.2) / 1.3, x - middle) < 0.09] = (224, 172, 145)
    previous = np.clip(3 - 12 * np.hypot(y - 0.4, x - middle), 0, 1)
    return (
        np.clip(picture, 0, 255).astype(np.float32)[None],
        previous.astype(np.float32)[None, ..., None],
    )
