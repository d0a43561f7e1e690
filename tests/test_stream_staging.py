"""Staging: a result is whole in its place, or not there; what an interruption leaves is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream import StreamError
from stream.staging import Interrupted, make_folder, staged


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def put_pictures(folder: Path, numbers: list[int], text: str) -> None:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        (folder / f"{number:06}.png").write_text(text)


def test_a_result_is_moved_to_its_place_when_it_is_whole(tmp_path: Path) -> None:
    output = tmp_path / "clip.mp4"
    with staged(output, force=False, is_folder=False) as place:
        assert place.parent == tmp_path  # the same disk, so that the move cannot tear
        assert place.suffix == ".mp4"  # FFmpeg goes by the ending
        place.write_text("whole")
        assert not output.exists()
    assert output.read_text() == "whole"
    assert names_in(tmp_path) == ["clip.mp4"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(StreamError, match="no room"),
        staged(tmp_path / "clip.mp4", force=False, is_folder=False) as place,
    ):
        place.write_text("half")
        raise StreamError("no room")
    assert names_in(tmp_path) == []


def test_an_error_before_anything_was_written_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        staged(tmp_path / "clip.mp4", force=False, is_folder=False),
    ):
        raise ZeroDivisionError
    assert names_in(tmp_path) == []


def test_an_error_leaves_what_force_would_have_replaced(tmp_path: Path) -> None:
    output = tmp_path / "clip.mp4"
    output.write_text("old")
    with pytest.raises(StreamError), staged(output, force=True, is_folder=False) as place:
        place.write_text("half")
        raise StreamError("no room")
    assert names_in(tmp_path) == ["clip.mp4"]
    assert output.read_text() == "old"


def test_ctrl_c_keeps_what_was_done_under_a_name_that_says_partial(tmp_path: Path) -> None:
    output = tmp_path / "clip.mp4"
    with (
        pytest.raises(Interrupted, match=r"clip\.partial\.mp4"),
        staged(output, force=False, is_folder=False) as place,
    ):
        place.write_text("half")
        raise KeyboardInterrupt
    assert names_in(tmp_path) == ["clip.partial.mp4"]
    assert (tmp_path / "clip.partial.mp4").read_text() == "half"


def test_a_second_partial_gets_another_name(tmp_path: Path) -> None:
    for text in ("first", "second", "third"):
        with (
            pytest.raises(Interrupted),
            staged(tmp_path / "clip.mp4", force=False, is_folder=False) as place,
        ):
            place.write_text(text)
            raise KeyboardInterrupt
    kept = [path.read_text() for path in sorted(tmp_path.iterdir())]
    assert sorted(kept) == ["first", "second", "third"]
    assert all("partial" in name for name in names_in(tmp_path))


def test_ctrl_c_before_the_first_frame_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    for output, is_folder in ((tmp_path / "clip.mp4", False), (tmp_path / "pictures", True)):
        with (
            pytest.raises(Interrupted, match="nothing was written"),
            staged(output, False, is_folder, begun=lambda: False) as place,
        ):
            if not is_folder:
                place.write_text("a header without a frame")
            raise KeyboardInterrupt
    assert names_in(tmp_path) == []


def test_interrupted_is_a_keyboard_interrupt() -> None:
    assert issubclass(Interrupted, KeyboardInterrupt)  # so that no `except Exception` eats it


def test_an_output_that_exists_is_replaced_only_by_force(tmp_path: Path) -> None:
    output = tmp_path / "clip.mp4"
    output.write_text("old")
    with (
        pytest.raises(StreamError, match=r"clip\.mp4.*--force"),
        staged(output, force=False, is_folder=False),
    ):
        pytest.fail("the block was entered")
    assert output.read_text() == "old"
    with staged(output, force=True, is_folder=False) as place:
        place.write_text("new")
    assert output.read_text() == "new"
    assert names_in(tmp_path) == ["clip.mp4"]


def test_the_folder_of_a_file_must_exist(tmp_path: Path) -> None:
    with (
        pytest.raises(StreamError, match="missing"),
        staged(tmp_path / "missing" / "clip.mp4", force=False, is_folder=False),
    ):
        pytest.fail("the block was entered")
    assert names_in(tmp_path) == []


def test_a_folder_and_its_parents_are_made(tmp_path: Path) -> None:
    output = tmp_path / "new" / "deep" / "pictures"
    with staged(output, force=False, is_folder=True) as place:
        put_pictures(place, [1, 2], "new")
    assert names_in(output) == ["000001.png", "000002.png"]
    assert names_in(output.parent) == ["pictures"]


def test_an_error_leaves_no_folder_that_was_made(tmp_path: Path) -> None:
    output = tmp_path / "new" / "pictures"
    with pytest.raises(StreamError), staged(output, force=False, is_folder=True) as place:
        put_pictures(place, [1], "half")
        raise StreamError("no room")
    assert not output.exists()
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    output = tmp_path / "pictures"
    output.mkdir()
    with staged(output, force=False, is_folder=True) as place:
        put_pictures(place, [1], "new")
    assert names_in(output) == ["000001.png"]
    assert names_in(tmp_path) == ["pictures"]


def test_other_files_of_a_folder_stay(tmp_path: Path) -> None:
    output = tmp_path / "pictures"
    output.mkdir()
    (output / "notes.txt").write_text("mine")
    (output / "title.png").write_text("mine")
    with staged(output, force=False, is_folder=True) as place:
        put_pictures(place, [1], "new")
    assert names_in(output) == ["000001.png", "notes.txt", "title.png"]
    assert (output / "title.png").read_text() == "mine"


def test_pictures_that_exist_are_replaced_only_by_force(tmp_path: Path) -> None:
    output = tmp_path / "pictures"
    put_pictures(output, [1, 2, 3, 4], "old")
    with (
        pytest.raises(StreamError, match=r"pictures.*--force"),
        staged(output, force=False, is_folder=True),
    ):
        pytest.fail("the block was entered")
    with staged(output, force=True, is_folder=True) as place:
        put_pictures(place, [1, 2], "new")
    assert names_in(output) == ["000001.png", "000002.png"]  # the longer clip's tail is gone
    assert {path.read_text() for path in output.iterdir()} == {"new"}


def test_an_error_leaves_the_old_pictures(tmp_path: Path) -> None:
    output = tmp_path / "pictures"
    put_pictures(output, [1, 2], "old")
    with pytest.raises(StreamError), staged(output, force=True, is_folder=True) as place:
        put_pictures(place, [1], "half")
        raise StreamError("no room")
    assert {path.read_text() for path in output.iterdir()} == {"old"}
    assert names_in(tmp_path) == ["pictures"]


def test_ctrl_c_keeps_the_pictures_that_were_done(tmp_path: Path) -> None:
    with (
        pytest.raises(Interrupted, match="partial"),
        staged(tmp_path / "pictures", force=False, is_folder=True) as place,
    ):
        put_pictures(place, [1, 2], "half")
        raise KeyboardInterrupt
    assert names_in(tmp_path) == ["pictures.partial"]
    assert names_in(tmp_path / "pictures.partial") == ["000001.png", "000002.png"]


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("a file")
    with (
        pytest.raises(StreamError, match="pictures"),
        staged(tmp_path / "pictures", force=True, is_folder=True),
    ):
        pytest.fail("the block was entered")
    with pytest.raises(StreamError, match="pictures"):
        make_folder(tmp_path / "pictures" / "inner")


def test_a_place_that_cannot_be_moved_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    output = tmp_path / "clip.mp4"
    with (
        pytest.raises(StreamError, match=r"clip\.mp4"),
        staged(output, force=False, is_folder=False),
    ):
        pass  # nothing was written: a part that failed without a word
    assert names_in(tmp_path) == []


# ------------------------------------------------------------------------ a folder that is there


def test_a_folder_that_is_there_is_filled_from_within(tmp_path: Path) -> None:
    output = tmp_path / "disk"  # it may be a disk of its own: a move from beside it would tear
    output.mkdir()
    with staged(output, force=False, is_folder=True) as place:
        assert place.parent == output
        put_pictures(place, [1], "new")
    assert names_in(output) == ["000001.png"]


def test_ctrl_c_keeps_the_pictures_within_a_folder_that_is_there(tmp_path: Path) -> None:
    output = tmp_path / "disk"
    output.mkdir()
    with (
        pytest.raises(Interrupted, match="partial"),
        staged(output, force=False, is_folder=True) as place,
    ):
        put_pictures(place, [1], "half")
        raise KeyboardInterrupt
    assert names_in(tmp_path) == ["disk"]
    (kept,) = output.iterdir()
    assert "partial" in kept.name
    assert names_in(kept) == ["000001.png"]


def test_force_removes_no_picture_of_the_users(tmp_path: Path) -> None:
    output = tmp_path / "pictures"
    put_pictures(output, [1, 2, 3, 1_000_000], "old")
    for name in ("2024.png", "12345.png", "IMG_000002.png", "000003.jpg"):
        (output / name).write_text("mine")
    with staged(output, force=True, is_folder=True) as place:
        put_pictures(place, [1, 2], "new")
    assert names_in(output) == [
        "000001.png",
        "000002.png",
        "000003.jpg",
        "12345.png",
        "2024.png",
        "IMG_000002.png",
    ]
    assert (output / "2024.png").read_text() == "mine"


def test_a_users_numbered_picture_is_in_nobodys_way(tmp_path: Path) -> None:
    output = tmp_path / "pictures"
    output.mkdir()
    (output / "2024.png").write_text("mine")
    with staged(output, force=False, is_folder=True) as place:
        put_pictures(place, [1], "new")
    assert names_in(output) == ["000001.png", "2024.png"]


def test_an_error_midway_leaves_all_old_pictures_as_they_were(tmp_path: Path) -> None:
    output = tmp_path / "pictures"
    put_pictures(output, [1, 2, 3], "old")
    (output / "2024.png").write_text("old")
    with pytest.raises(StreamError), staged(output, force=True, is_folder=True) as place:
        put_pictures(place, [1, 2], "half")
        raise StreamError("no room")
    assert names_in(output) == ["000001.png", "000002.png", "000003.png", "2024.png"]
    assert {path.read_text() for path in output.iterdir()} == {"old"}


def test_the_folder_one_stands_in_can_be_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with staged(Path(), force=False, is_folder=True) as place:
        put_pictures(place, [1], "new")
    assert names_in(tmp_path) == ["000001.png"]
