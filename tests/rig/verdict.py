"""What the figures of a soak say: the slope of its memory, and which bars were reached."""

from __future__ import annotations

from statistics import linear_regression, median
from typing import Any

GAP_MS, FOUND_S, WAKE_S = 100, 2.0, 0.5
BLOCKS = 12  # memory is compared by the medians of so many parts of the run
NOISE_MB = 2.0  # growth from the first half to the second that is none
SETTLED_S = 600  # in shorter runs, what is taken once (a background, its thread) looks like growth
TIMES = ("longest_gap_ms", "found_again_s", "woke_s")  # a busy machine is enough to miss them


def of_samples(samples: list[dict[str, float]]) -> dict[str, Any]:
    """Slope of the memory, by the medians of parts of the run after its first twelfth."""
    late = samples[len(samples) // BLOCKS :]
    size = max(1, len(late) // BLOCKS)
    blocks = [late[start : start + size] for start in range(0, len(late) - size + 1, size)]
    at_h = [median(each["at_s"] for each in block) / 3600 for block in blocks]
    memory_mb = [median(each["memory_mb"] for each in block) for block in blocks]
    slope = linear_regression(at_h, memory_mb).slope if len(blocks) > 1 else 0.0
    half = len(late) // 2
    grown = median(each["memory_mb"] for each in late[half:]) - median(
        each["memory_mb"] for each in late[: max(1, half)]
    )
    descriptors = [int(each["descriptors"]) for each in samples]
    return {
        "memory_mb": memory_mb[-1],
        "memory_slope_mb_per_hour": slope,
        "memory_grown_mb": grown,
        "descriptors": sorted(set(descriptors)),
    }


def judge(measured: dict[str, Any]) -> dict[str, bool]:
    """Whether each bar was reached."""
    return {
        "exit_code": measured["exit_code"] == 0,
        "room_values": measured["room_values"] == 0,
        "longest_gap_ms": measured["longest_gap_ms"] <= GAP_MS,
        "found_again_s": (measured["found_again_s"] or 0) <= FOUND_S,
        "woke_s": (measured["woke_s"] or 0) <= WAKE_S,
        "memory_grown_mb": measured["seconds"] < SETTLED_S
        or measured["memory_grown_mb"] <= NOISE_MB,
        "descriptors": len(measured["descriptors"]) == 1,
    }
