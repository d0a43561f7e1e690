"""Several lines at one engine: each gets its own matte, and nobody waits for who has left."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from stream.backends.ov import OpenVino
from stream.backends.together import Seat, Together
from stream.backends.trial import probe
from stream.interfaces import Batching

PATIENCE_S = 60.0  # a line that waits forever fails its test, and does not hang it
SQUARE, WIDE = (1.0, 1.0), (1.0, 4.0)


class Mean:
    """An engine for batches: the mean of the colors, of each frame; into an array that it uses
    again."""

    name = "mean"

    def __init__(self, batch: int = 8) -> None:
        self.batch, self.shapes, self.fails = batch, list[tuple[int, ...]](), 0
        self.fitted = (0, 0)
        self._alphas = np.zeros((64, 64, 256, 1), np.float32)

    def fit(self, display_hw: tuple[float, float]) -> tuple[int, int]:
        """Square, or four times as wide."""
        self.fitted = (64, 64) if display_hw == SQUARE else (64, 256)
        return self.fitted

    def infer(self, image: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """What overwrites the answer of the call before."""
        assert image.shape[:3] == previous.shape[:3] and image.shape[1:3] == self.fitted
        self.shapes.append(image.shape)
        if len(self.shapes) == self.fails:
            raise OSError("the GPU fell off the bus")
        answer = self._alphas[: len(image), :, : image.shape[2]]
        answer[:] = image.mean(-1, keepdims=True)
        return answer

    def close(self) -> None:
        """Nothing is held."""


class One(Mean):
    """An engine that takes one frame at a time."""

    def __init__(self) -> None:
        super().__init__()
        del self.batch


def carry(seat: Seat, shown_hw: tuple[float, float], values: list[int]) -> list[float]:
    """A line: frames that are `value` all over; what comes back, when the next one has gone."""
    alphas = []
    with closing(seat):
        for value in values:
            h, w = seat.fit(shown_hw)
            image = np.full((1, h, w, 3), value, np.float32)
            alphas.append(seat.infer(image, np.zeros((1, h, w, 1), np.float32)))
    assert all(alpha.shape == (1, h, w, 1) and np.ptp(alpha) == 0 for alpha in alphas)
    return [float(alpha[0, 0, 0, 0]) for alpha in alphas]


@pytest.fixture
def at_once():
    """at_once(lines) runs each on a thread of its own; what they gave."""

    def run(lines: list[Callable[[], list[float]]]) -> list[Future]:
        with ThreadPoolExecutor(len(lines)) as pool:
            futures = [pool.submit(line) for line in lines]
            for each in futures:
                each.exception(timeout=PATIENCE_S)
        return futures

    return run


def lines_of(
    together: Together, shown: list[tuple[float, float]], lengths: list[int]
) -> tuple[list[list[int]], list[Callable[[], list[float]]]]:
    """Lines that have all taken their seats, and what each of them shows."""
    values = [[10 * line + frame for frame in range(length)] for line, length in enumerate(lengths)]
    seats = [together.seat(shown_hw) for shown_hw in shown]

    def line(number: int) -> Callable[[], list[float]]:
        return lambda: carry(seats[number], shown[number], values[number])

    return values, [line(number) for number in range(len(lengths))]


def test_one_frame_of_each_is_a_batch_and_each_gets_its_own_matte(at_once) -> None:
    engine = Mean()
    values, lines = lines_of(Together(engine), [SQUARE] * 3, [20, 20, 20])
    assert [each.result() for each in at_once(lines)] == values
    assert engine.shapes == [(3, 64, 64, 3)] * 20


def test_who_has_ended_is_waited_for_no_more(at_once) -> None:
    engine = Mean()
    values, lines = lines_of(Together(engine), [SQUARE] * 3, [2, 5, 9])
    assert [each.result() for each in at_once(lines)] == values
    assert [shape[0] for shape in engine.shapes] == [3] * 2 + [2] * 3 + [1] * 4


def test_clips_of_other_shapes_are_batches_of_their_own(at_once) -> None:
    engine = Mean()
    values, lines = lines_of(Together(engine), [SQUARE, WIDE, SQUARE], [6, 6, 6])
    assert [each.result() for each in at_once(lines)] == values
    assert sorted(engine.shapes) == [(1, 64, 256, 3)] * 6 + [(2, 64, 64, 3)] * 6


def test_a_batch_is_no_larger_than_the_engine_takes(at_once) -> None:
    engine = Mean(batch=2)
    values, lines = lines_of(Together(engine), [SQUARE] * 5, [10] * 5)
    assert [each.result() for each in at_once(lines)] == values
    assert max(shape[0] for shape in engine.shapes) == 2
    assert sum(shape[0] for shape in engine.shapes) == 50


def test_an_engine_for_one_frame_makes_nobody_wait(at_once) -> None:
    engine = One()
    assert not isinstance(engine, Batching) and isinstance(Mean(), Batching)
    together = Together(engine)
    together.seat(SQUARE)  # a line that never asks
    values, lines = lines_of(together, [SQUARE] * 3, [4, 4, 4])
    assert [each.result() for each in at_once(lines)] == values
    assert engine.shapes == [(1, 64, 64, 3)] * 12


def test_what_the_engine_raises_is_each_lines_own_error(at_once) -> None:
    engine = Mean()
    engine.fails = 3
    _, lines = lines_of(Together(engine), [SQUARE] * 3, [9, 9, 9])
    for each in at_once(lines):
        with pytest.raises(OSError, match="fell off the bus"):
            each.result()
    assert len(engine.shapes) == 3


def test_a_line_that_breaks_leaves_the_rest_running(at_once) -> None:
    engine = Mean()
    together = Together(engine)
    values, lines = lines_of(together, [SQUARE] * 2, [8, 8])
    seat = together.seat(SQUARE)

    def breaks() -> list[float]:
        carry(seat, SQUARE, [1, 2])
        raise OSError("the disk is full")

    done = at_once([*lines, breaks])
    assert [each.result() for each in done[:2]] == values
    assert isinstance(done[2].exception(), OSError)
    assert [shape[0] for shape in engine.shapes] == [3] * 2 + [2] * 6


def test_ctrl_c_wakes_who_waits() -> None:
    together = Together(Mean())
    waiting, idle = together.seat(SQUARE), together.seat(SQUARE)
    with ThreadPoolExecutor(1) as pool:
        line = pool.submit(carry, waiting, SQUARE, [1])
        together.stop()
        assert isinstance(line.exception(timeout=PATIENCE_S), KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        carry(idle, SQUARE, [1])


def test_leaving_twice_is_fine_and_the_engine_is_not_closed() -> None:
    engine = Mean()
    together = Together(engine)
    seat, other = together.seat(SQUARE), together.seat(SQUARE)
    assert (seat.name, together.name) == ("mean", "mean")
    seat.close()
    seat.close()
    assert carry(other, SQUARE, [5]) == [5]


def test_answers_of_the_processor_are_those_of_one_alone(bright_network, at_once) -> None:
    shown = {hw: [probe(hw, seed) for seed in range(4)] for hw in ((64, 64), (32, 128))}
    with closing(OpenVino(bright_network)) as engine:
        for hw in shown:
            assert engine.fit(hw) == hw
        wanted = {hw: [engine.infer(*each).copy() for each in shown[hw]] for hw in shown}
        together = Together(engine)
        seats = {hw: together.seat(hw) for hw in shown}

        def line(hw: tuple[int, int]) -> list[np.ndarray]:
            with closing(seats[hw]) as seat:
                assert seat.fit(hw) == hw
                return [seat.infer(*each) for each in shown[hw]]

        done = at_once([lambda hw=hw: line(hw) for hw in shown])
        for hw, each in zip(shown, done, strict=True):
            assert np.array_equal(each.result(), wanted[hw])
        batch = [np.concatenate(parts) for parts in zip(*shown[64, 64], strict=True)]
        assert np.array_equal(engine.infer(*batch), np.concatenate(wanted[64, 64]))
