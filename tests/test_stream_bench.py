"""bench: figures that are what they say, of whole frames, alone and in turns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import run
from stream import StreamError, transcode
from stream.bench import bench, in_turns
from stream.bench_config import BenchConfig
from stream.bench_line import BenchLine
from stream.bench_report import FORMAT, Part, pooled, read_result, tables, versus, write_json

KNOWN = {
    "name": "ours",
    "size": (96, 128),
    "background": "blur",
    "rate": None,
    "threads": 2,
    "engine": "an engine",
    "precision": "int8",
    "peak_rss_mb": 100.0,
}


@pytest.fixture
def config(bright_network: Path) -> BenchConfig:
    """A small measurement with a network that answers with the picture's brightness."""
    return BenchConfig(network=str(bright_network), size="128x96", frames=7, engine="cpu")


def part(frames: int = 10, seconds: float = 0.5, **other: object) -> Part:
    """A stretch whose frames took 1, 2, 3, … ms."""
    ages = [float(1 + number) for number in range(frames)]
    return Part(**{"frames": frames, "seconds": seconds, "cpu_s": 0.1, "ages_ms": ages, **other})


# Arithmetic


def test_rates_are_medians_over_the_rounds_and_latencies_of_all_frames_together() -> None:
    parts = [part(seconds=seconds) for seconds in (0.5, 1.0, 0.1)]
    result = pooled(parts, **KNOWN)
    assert result.rounds_fps == pytest.approx([20, 10, 100])
    assert result.fps == pytest.approx(20)
    assert result.frames == 30
    assert result.cpu_ms_per_frame == pytest.approx(10)
    assert result.latency_ms == {"p50": 6, "p95": 10, "p99": 10, "max": 10}


@pytest.mark.parametrize("seed", range(5))
def test_percentiles_are_in_order_and_the_histogram_counts_every_frame(seed) -> None:
    ages = np.random.default_rng(seed).lognormal(2, 0.5, 200).tolist()
    result = pooled([part(200, ages_ms=ages)], **KNOWN)
    assert list(result.latency_ms.values()) == sorted(result.latency_ms.values())
    assert result.latency_ms["max"] == max(ages)
    assert sum(result.histogram["counts"]) == 200
    assert len(result.histogram["edges_ms"]) == len(result.histogram["counts"]) + 1


def test_counts_add_up_over_the_rounds() -> None:
    result = pooled([part(network_runs=9, dropped=1), part(network_runs=8, dropped=2)], **KNOWN)
    assert (result.frames, result.network_runs, result.dropped) == (20, 17, 3)


def test_shares_of_the_stages_add_up_to_the_whole() -> None:
    stages = {"network": [3.0] * 4, "matte": [1.0, 1.0, 1.0, 2.0], "write": [0.75] * 4}
    _, (titles, rows) = tables(pooled([part(4, stages_ms=stages)], **KNOWN))
    assert titles == ["stage", "median ms", "95 %", "share"]
    assert [row[0] for row in rows] == ["network", "matte", "write"]
    assert [row[3] for row in rows] == ["60%", "25%", "15%"]


def test_ratios_are_of_the_rounds_that_were_side_by_side() -> None:
    fast = pooled([part(seconds=0.1), part(seconds=0.2), part(seconds=0.1)], **KNOWN)
    slow = pooled([part(seconds=0.2), part(seconds=0.4), part(seconds=0.4)], **KNOWN)
    _, rows = versus([fast, replace(slow, name="theirs")])
    assert [row[2] for row in rows] == ["1.00 (1.00–1.00)", "2.00 (2.00–4.00)"]


# Files


def test_a_result_is_read_as_it_was_written(tmp_path) -> None:
    result = pooled([part(stages_ms={"network": [1.0, 2.0]})], **KNOWN)
    write_json([result], tmp_path / "a.json")
    assert read_result(tmp_path / "a.json") == result


def test_the_file_has_the_keys_that_others_rely_on(tmp_path) -> None:
    write_json([pooled([part(stages_ms={"network": [1.0]})], **KNOWN)], tmp_path / "a.json")
    written = json.loads((tmp_path / "a.json").read_text())
    keys = {"fps", "frames", "dropped", "size", "engine", "precision", "threads", "environment"}
    assert keys | {"cpu_ms_per_frame", "peak_rss_mb"} <= set(written)
    assert set(written["latency_ms"]) == {"p50", "p95", "p99", "max"}
    assert {"p50", "p95"} <= set(written["stages_ms"]["network"])
    assert written["size"] == [96, 128]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing", "cannot read"),
        ("[]", f"of format None and this program's is {FORMAT}"),
        ('{"format": 99}', "of format 99"),
        (f'{{"format": {FORMAT}, "results": []}}', "several results"),
        (f'{{"format": {FORMAT}, "fps": 3}}', "no result of bench"),
    ],
)
def test_what_is_no_result_is_said_to_be_none(tmp_path, text, says) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(StreamError, match=says):
        read_result(tmp_path / "a.json")


def test_two_files_are_compared_without_measuring(tmp_path) -> None:
    for name, seconds in (("a", 0.1), ("b", 0.3)):
        write_json([pooled([part(seconds=seconds)], **KNOWN)], tmp_path / f"{name}.json")
    pair = (str(tmp_path / "a.json"), str(tmp_path / "b.json"))
    ((_, rows),) = bench(BenchConfig(compare=pair))
    assert [row[0] for row in rows] == list(pair)
    assert rows[1][2].startswith("3.00")


# The line


def measured(config: BenchConfig, frames: int) -> Part:
    """One part of a line of its own."""
    line = BenchLine(config, "ours")
    try:
        return line.run(frames)
    finally:
        line.close()


def test_every_frame_goes_through_the_network_and_every_stage(config) -> None:
    measured_part = measured(config, 7)
    assert (measured_part.frames, measured_part.network_runs, measured_part.dropped) == (7, 7, 0)
    stages = ["thumbnail", "network", "matte", "clean", "composite", "write"]
    assert sorted(measured_part.stages_ms) == sorted(stages)
    assert all(len(spent) == 7 for spent in measured_part.stages_ms.values())


def test_the_stages_of_a_frame_are_no_longer_than_the_frame(config) -> None:
    measured_part = measured(config, 20)
    of_frames = zip(*measured_part.stages_ms.values(), strict=True)
    for stages, age in zip(of_frames, measured_part.ages_ms, strict=True):
        assert 0 < sum(stages) <= age


def test_at_a_rate_the_line_is_lives_and_ends_after_its_frames(config) -> None:
    measured_part = measured(replace(config, rate=500.0), 5)
    assert measured_part.frames == len(measured_part.ages_ms) == 5
    assert measured_part.network_runs <= 5


def test_a_frame_without_a_matte_of_its_own_spoils_the_figures(config) -> None:
    line = BenchLine(config, "ours")
    with pytest.raises(StreamError, match="ran 4 times for 7 frames"):
        line.result([part(7, network_runs=4)], None)
    line.close()


def test_a_clip_takes_the_place_of_the_pattern(config, make_clip) -> None:
    clip = make_clip("clip.mp4", size_hw=(96, 128), pts=list(range(4)))
    (_, head), _ = bench(replace(config, input=str(clip), size=None))
    assert head[0][1].startswith("7 of 128×96")


def test_contenders_take_turns_and_carry_all_frames() -> None:
    order: list[str] = []

    class Counts:
        def __init__(self, name: str) -> None:
            self.name, self.frames = name, 0

        def run(self, frames: int) -> Part:
            order.append(self.name)
            self.frames += frames
            return part(frames)

        result = close = None

    ours, theirs = Counts("a"), Counts("b")
    seen: list[tuple[int, int | None]] = []
    parts = in_turns([ours, theirs], 12, lambda done, total: seen.append((done, total)))
    assert "".join(order) == "abbaabbaab"
    assert (ours.frames, theirs.frames) == (12, 12)
    assert [len(own) for own in parts] == [5, 5]
    assert seen[-1] == (24, 24)


def test_two_settings_are_measured_in_turns(config, tmp_path) -> None:
    pair = ("edges=plain,background=green", "edges=sharp")
    ((_, rows),) = bench(replace(config, compare=pair, json=tmp_path / "both.json"))
    assert [row[0] for row in rows] == list(pair)
    written = json.loads((tmp_path / "both.json").read_text())["results"]
    assert [each["background"] for each in written] == ["green", "blur"]
    assert all(each["network_runs"] == each["frames"] == 7 for each in written)


def test_it_is_drawn(config, tmp_path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    bench(replace(config, plot=tmp_path / "bars.png"))
    with Image.open(tmp_path / "bars.png") as drawn:
        colors = {color for _, color in drawn.convert("RGB").getcolors(1 << 20)}
    assert {(0, 114, 178), (0, 158, 115)} <= colors  # thumbnail, matte


# What cannot work


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"frames": 0}, "cannot measure 0 frames"),
        ({"size": "1281x720"}, "cannot draw a test pattern of 1281x720"),
        ({"size": "16x16"}, "cannot draw a test pattern of 16x16"),
        ({"size": "big"}, "cannot read the size 'big'"),
        ({"rate": 0.0}, "cannot run at 0 fps"),
        ({"input": "nowhere.mp4"}, "cannot find nowhere.mp4"),
        ({"threads": -1}, "cannot use -1 threads"),
        ({"network": "nowhere.onnx"}, "cannot find the network nowhere.onnx"),
        ({"compare": ("speed=1", "network=small")}, "cannot read the setting 'speed=1'"),
        ({"compare": ("grow=much", "network=small")}, "cannot read 'grow=much'"),
        ({"compare": ("engine=abacus", "engine=cpu")}, "give one of auto, cpu, tensorrt"),
        ({"video": "a.mp4", "peers": Path()}, "--video and --peers at once"),
        ({"video": "nowhere.mp4"}, "cannot transcode nowhere.mp4"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_words(config, asked, says) -> None:
    with pytest.raises(StreamError, match=says):
        bench(replace(config, **asked))


def test_a_still_clip_is_refused(config, make_clip) -> None:
    clip = make_clip("clip.mp4", size_hw=(96, 128), pts=list(range(1)))
    with pytest.raises(StreamError, match="it is a single picture"):
        bench(replace(config, input=str(clip)))


# A clip


def test_a_clip_is_measured_against_its_transcode(config, make_clip) -> None:
    clip = make_clip("clip.mp4", size_hw=(96, 128), pts=list(range(9)))
    rates, _, (_, whole) = bench(replace(config, size=None, video=str(clip)))
    rows = {row[0]: [float(word) for word in row[2].split("–")] for row in rates[1]}
    ours, plain = rows["background replaced"], rows["decoded and encoded alone"]
    least, most = rows["share of the transcode"]
    assert ours[0] / plain[1] <= most + 0.01
    assert least - 0.01 <= ours[1] / plain[0]
    assert ["frames", "9"] in whole


def test_clips_that_come_out_at_another_length_are_not_compared(
    config, make_clip, monkeypatch
) -> None:
    clip = make_clip("clip.mp4", size_hw=(96, 128), pts=list(range(9)))
    monkeypatch.setattr(transcode, "_transcode", lambda clip, output: 8)
    with pytest.raises(StreamError, match="9 frames were composited and 8 transcoded"):
        bench(replace(config, size=None, video=str(clip)))


# The command


def test_the_command_shows_the_tables(
    bright_network, tmp_path, capsys: pytest.CaptureFixture
) -> None:
    words = ["--network", str(bright_network), "--size", "128x96", "--frames", "6"]
    assert run.main(["bench", *words, "--json", str(tmp_path / "a.json")]) == 0
    shown = capsys.readouterr().out
    assert "6 of 128×96" in shown and "composite" in shown
    assert read_result(tmp_path / "a.json").frames == 6


def test_others_networks_are_run_in_turns(bright_network, shared, capsys) -> None:
    words = ["--network", str(bright_network), "--size", "128x96", "--frames", "2"]
    assert run.main(["bench", *words, "--peers", str(shared / "peers")]) == 0
    shown = capsys.readouterr().out
    assert "Meet" in shown and "Selfie" in shown and "RVM" in shown
