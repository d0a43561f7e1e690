"""Choices: the cycle of backgrounds, and how blur grows and shrinks."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest

from stream.choices import Choices


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("2.png", "10.jpg", "waves.MP4", "notes.txt", ".hidden.png", "a.mp4.part"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    return tmp_path


def around(choices: Choices, start: str, step: int = 1) -> list[str]:
    """All that comes until the start comes again."""
    found = [choices.beside(start, step)]
    while found[-1] != start:
        found.append(choices.beside(found[-1], step))
        assert len(found) < 20
    return [Path(spec).name for spec in found]


def test_first_then_blur_then_the_folder_as_people_count(folder) -> None:
    cycle = ["blur", "2.png", "10.jpg", "waves.MP4", "#00b140"]
    assert around(Choices("#00b140", folder), "#00b140") == cycle
    assert around(Choices("#00b140", folder), "#00b140", -1) == [*cycle[-2::-1], cycle[-1]]


@pytest.mark.parametrize("first", ["blur", "blur:40"])
def test_blur_is_there_once_and_as_it_was_left(folder, first) -> None:
    choices = Choices(first, folder)
    assert around(choices, first) == ["2.png", "10.jpg", "waves.MP4", first]
    stronger = choices.blurred(first, 1)
    assert around(choices, stronger) == ["2.png", "10.jpg", "waves.MP4", stronger]
    assert choices.blurred(str(folder / "2.png"), 1) == stronger


@pytest.mark.parametrize("written", ["2.png", "./2.png", "../{}/2.png"])
def test_a_first_that_lies_in_the_folder_is_there_once(folder, monkeypatch, written) -> None:
    monkeypatch.chdir(folder)
    first = written.format(folder.name)
    assert around(Choices(first, folder), first) == ["blur", "10.jpg", "waves.MP4", "2.png"]


def test_a_file_dropped_in_appears_and_one_taken_out_is_no_trouble(folder) -> None:
    choices, here = Choices("blur", folder), str(folder / "2.png")
    (folder / "3.webp").write_bytes(b"x")
    assert choices.beside(here, 1) == str(folder / "3.webp")
    (folder / "2.png").unlink()
    assert choices.beside(here, 1) == "blur"
    assert choices.beside(here, -1) == str(folder / "waves.MP4")


def test_a_broken_file_is_left_out_until_it_changes(folder) -> None:
    choices, half = Choices("blur", folder), folder / "2.png"
    choices.leave_out(str(half))
    assert around(choices, "blur") == ["10.jpg", "waves.MP4", "blur"]
    assert choices.beside(str(half), 1) == str(folder / "10.jpg"), "it was tried in its place"
    half.write_bytes(b"the whole of it")
    assert around(choices, "blur")[0] == "2.png"
    choices.leave_out(str(half))
    os.utime(half, ns=(1, 1))
    assert around(choices, "blur")[0] == "2.png"
    choices.leave_out("https://nowhere/clip.mp4")  # nothing to look at


def test_a_folder_that_is_gone_is_told_and_the_rest_stays(folder, caplog) -> None:
    choices = Choices("#00b140", folder / "gone")
    assert around(choices, "#00b140") == ["blur", "#00b140"]
    assert "gone" in caplog.text


def test_without_a_folder_and_with_blur_there_is_one_choice() -> None:
    assert Choices("blur").beside("blur", 1) == "blur"


@pytest.mark.parametrize("step", [1, -1])
def test_blur_goes_by_a_quarter_to_its_limits_and_back(step) -> None:
    choices, spec, strengths = Choices("blur"), "blur", [18.0]
    for _ in range(20):
        spec = choices.blurred(spec, step)
        strengths.append(float(spec.removeprefix("blur:")))
    limit = 200 if step > 0 else 1
    assert strengths[-1] == limit
    for before, after in pairwise(strengths):
        assert after == limit or after / before == pytest.approx(1.25**step, rel=0.005)
