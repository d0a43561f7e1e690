"""A frame's kernels on an NVIDIA GPU, the network left out: are they right, and how long they take.

    python docs/gpu.py [COUNT]

Needs a driver, cuda-bindings and nvidia-cuda-nvrtc, and no TensorRT. For 1080p and 4K and two kinds
of background: COUNT frames (2000), p50 and p99 in ms from planes in pinned memory to the
composite's planes in pinned memory, a frame at a time; the same for the bare copies; and how many
frames a second come out with three slots in turns, copies into and out of pinned memory included.
"""

import sys
import time
from collections import deque
from contextlib import closing
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from stream.backends.nvidia import first_card
from stream.backends.trial import probe
from stream.blur import Blur
from stream.color import planes_of
from stream.compose import composite
from stream.foreground import clean
from stream.frame import Frame, gray_frame
from stream.gpu.device import Gpu
from stream.gpu.slots import Slots
from stream.gpu.steps import Cleaned, OverBlur, OverPlanes, Refined, Shown
from stream.letterbox import Letterbox, input_hw_for
from stream.matte import MatteRefiner
from stream.networks import RECORDED_AREAS

SIZES_HW = ((1080, 1920), (2160, 3840))
WARM_UP = 50


class Absent:
    """The network's place: its memory, with an answer in it."""

    is_recordable = True

    def __init__(self, gpu: Gpu, input_hw: tuple[int, int]) -> None:
        pixels = input_hw[0] * input_hw[1]
        channels = {"image": 3, "previous": 1, "alpha": 1}
        self.addresses = {name: gpu.memory(4 * pixels * n) for name, n in channels.items()}

    def enqueue(self, stream: int) -> None:
        pass


def pictured(size_hw: tuple[int, int], seed: int) -> Frame:
    like = gray_frame(size_hw)
    return like.with_planes(planes_of(probe(size_hw, seed)[0][0] / np.float32(255), like))


def spent_ms(do, count: int) -> np.ndarray:
    times = []
    for number in range(WARM_UP + count):
        began = time.perf_counter()
        do()
        if number >= WARM_UP:
            times.append((time.perf_counter() - began) * 1000)
    return np.percentile(times, (50, 99))


def share_apart(planes, wanted) -> float:
    far = [np.abs(one.astype(int) - other) > 1 for one, other in zip(planes, wanted, strict=True)]
    return float(np.concatenate([each.ravel() for each in far]).mean())


def frames_per_second(slots: Slots, frame: Frame, plan, count: int) -> float:
    waiting: deque = deque()
    began = time.perf_counter()
    for _ in range(count):
        slot = slots.send(frame.planes)
        slots.run(slot, plan)
        waiting.append(slot)
        if len(waiting) == slots.count:
            slots.fetch(waiting.popleft())
    while waiting:
        slots.fetch(waiting.popleft())
    return count / (time.perf_counter() - began)


def measure(size_hw: tuple[int, int], count: int) -> None:
    frame, behind = pictured(size_hw, 0), pictured(size_hw, 1)
    input_hw = input_hw_for(size_hw, RECORDED_AREAS["person"])
    letterbox = Letterbox.fit(size_hw, input_hw)
    answer = probe(input_hw)[1]
    with closing(Gpu()) as gpu:
        slots = Slots(gpu, *frame.layout.plane_hws(size_hw)[:2])
        network = Absent(gpu, input_hw)
        slots.work.put(network.addresses["alpha"], answer)
        alpha = MatteRefiner().refine(letterbox.crop(answer[0, :, :, 0]), frame)
        cleaned = clean(frame, alpha)
        edge = Refined(network, letterbox, True, 0.0, 0.0)
        first = Shown(network, letterbox, frame.color, frame.format), edge, Cleaned(False)

        def there_and_back(plan) -> None:
            # Not send() and fetch(), which copy into and out of pinned memory as well.
            there, here = slot.came.luma.address, slot.up
            slots._call("cuMemcpyHtoDAsync", there, here.ctypes.data, here.nbytes, slots._up)
            slots.run(slot, plan)
            slots._call("cuEventSynchronize", slot.downloaded)
            slot.is_under_way = False

        for over, wanted in (
            (OverPlanes(), composite(cleaned, behind.planes, alpha)),
            (OverBlur(18.0), Blur(18.0).compose(cleaned, alpha)),
        ):
            plan = (*first, over)
            for _ in range(2 * slots.count):  # one by one, then recorded
                slot = slots.send(frame.planes)
                slots.lay_behind(slot, behind.planes)
                slots.run(slot, plan)
                planes, _ = slots.fetch(slot)
                apart = share_apart(planes, wanted.planes)
                assert apart <= 0.001, f"{apart:.2%} of the values are not the processor's"
            both = [spent_ms(lambda plan=each: there_and_back(plan), count) for each in (plan, ())]
            (whole, whole99), (bare, bare99) = both
            rate = frames_per_second(slots, frame, plan, count)
            print(
                f"{size_hw[1]}x{size_hw[0]} {type(over).__name__:10s} whole {whole:.3f} / "
                f"{whole99:.3f}, bare copies {bare:.3f} / {bare99:.3f}, beyond them "
                f"{whole - bare:.3f}; {rate:.0f} frames/s; {apart:.4%} of values over 1 apart"
            )


if __name__ == "__main__":
    print(first_card())
    for size_hw in SIZES_HW:
        measure(size_hw, int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
