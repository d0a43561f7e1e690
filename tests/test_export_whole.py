"""Files that belong together appear together."""

from pathlib import Path

import pytest

from export import ExportError
from export.whole import whole


def test_all_files_take_their_places_when_the_block_ends(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "models"
    with whole(folder) as place:
        (place / "net" / "1").mkdir(parents=True)
        (place / "net" / "1" / "model.onnx").write_bytes(b"new")
        (place / "card.json").write_bytes(b"{}")
        assert not (folder / "card.json").exists()
    assert (folder / "net" / "1" / "model.onnx").read_bytes() == b"new"
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "net"]


@pytest.mark.parametrize("wrong", [ExportError("worse"), KeyboardInterrupt()])
def test_an_end_half_way_leaves_the_folder_as_it_was(tmp_path: Path, wrong: BaseException) -> None:
    (tmp_path / "card.json").write_bytes(b"old")
    with pytest.raises(type(wrong)), whole(tmp_path) as place:
        (place / "card.json").write_bytes(b"new")
        raise wrong
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]
    assert (tmp_path / "card.json").read_bytes() == b"old"


def test_a_full_disk_is_said_in_a_line(tmp_path: Path) -> None:
    said = rf"cannot write to {tmp_path}: No space left on device"
    with pytest.raises(ExportError, match=said), whole(tmp_path):
        raise OSError(28, "No space left on device")


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with (
        pytest.raises(ExportError, match=r"cannot write to .*out: File exists"),
        whole(tmp_path / "out"),
    ):
        pass
