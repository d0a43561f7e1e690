"""run.py image: pictures in, pictures out; and what is said where that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import run
from stream.interfaces import Backend


@pytest.fixture
def run_image(
    bright_network: Path, engine: Backend, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """run_image(word, …) is `run.py image word …` with that network."""
    monkeypatch.setattr("stream.main.open_backend", lambda *asked, **how: engine)

    def call(*words: object) -> int:
        return run.main(["image", *map(str, words), "--network", str(bright_network)])

    return call


def portrait(size_hw: tuple[int, int] = (64, 96)) -> np.ndarray:
    """(h, w, 3): a white person on black, all of it flat enough to know the matte."""
    image = np.zeros((*size_hw, 3), np.uint8)
    image[size_hw[0] // 4 :, size_hw[1] // 4 : size_hw[1] // 2] = 255
    return image


def save(path: Path, image: np.ndarray | None = None, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(portrait() if image is None else image).save(path, **options)
    return path


def load(path: Path, mode: str) -> np.ndarray:
    with Image.open(path) as opened:
        assert opened.mode == mode
        return np.asarray(opened)


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def one_line(capsys: pytest.CaptureFixture) -> str:
    """What was said on standard error, if it is one line."""
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and said.startswith("run.py: "), said
    return said


# What comes out


@pytest.mark.parametrize("size_hw", [(64, 96), (301, 97), (33, 200), (720, 480)])
def test_a_matte_is_8_bit_gray_of_the_pictures_own_size(run_image, tmp_path, size_hw) -> None:
    source, target = save(tmp_path / "a.png", portrait(size_hw)), tmp_path / "matte.png"
    assert run_image(source, target, "--background", "matte") == 0
    matte, truth = load(target, "L"), portrait(size_hw)[..., 0]
    assert matte.shape == size_hw
    assert np.mean(np.abs(matte.astype(int) - truth)) <= 20  # the network sees some 64 × 64
    assert matte[-1, size_hw[1] * 3 // 8] > 250 and matte[0, -1] < 5


@pytest.mark.parametrize("edges", ["plain", "sharp", "clean"])
def test_transparent_keeps_the_colors_and_its_alpha_is_the_matte(
    run_image, tmp_path, edges
) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8)
    picture[:32, :48] = 255
    source = save(tmp_path / "a.png", picture)
    for name, background in (("cut", "transparent"), ("matte", "matte")):
        words = ["--background", background, "--edges", edges]
        assert run_image(source, tmp_path / f"{name}.png", *words) == 0
    cut, matte = load(tmp_path / "cut.png", "RGBA"), load(tmp_path / "matte.png", "L")
    apart = np.abs(cut[..., :3].astype(int) - picture)
    assert apart[cut[..., 3] == 255].max() <= 1  # 1 where the alpha is only nearly so
    assert np.array_equal(cut[..., :3], picture) is (edges != "clean")
    assert np.abs(cut[..., 3].astype(int) - matte).max() <= 1  # 127.5 may go either way
    assert len(np.unique(matte)) > 20


@pytest.mark.parametrize("suffix", [".webp", ".tiff"])
def test_transparent_in_other_kinds_that_can(run_image, tmp_path, suffix) -> None:
    source, target = save(tmp_path / "a.png"), tmp_path / f"cut{suffix}"
    assert run_image(source, target, "--background", "transparent") == 0
    cut = load(target, "RGBA")
    assert np.array_equal(cut[cut[..., 3] > 0][:, :3], portrait()[cut[..., 3] > 0])


def test_a_color_stands_behind_the_person(run_image, tmp_path) -> None:
    source, target = save(tmp_path / "a.png"), tmp_path / "b.png"
    assert run_image(source, target, "--background", "#00b140") == 0
    picture = load(target, "RGB")
    assert tuple(picture[0, -1]) == (0, 177, 64) and tuple(picture[-1, 36]) == (255, 255, 255)


@pytest.mark.parametrize(
    ("suffix", "slack"), [(".jpg", 6), (".JPEG", 6), (".webp", 0), (".bmp", 0)]
)
def test_the_name_says_the_kind(run_image, tmp_path, suffix, slack) -> None:
    source, target = save(tmp_path / "a.png"), tmp_path / f"b{suffix}"
    assert run_image(source, target, "--background", "none") == 0
    assert np.abs(load(target, "RGB").astype(int) - portrait()).max() <= slack


def test_a_phones_picture_comes_out_upright(run_image, tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source = save(tmp_path / "a.png", np.ascontiguousarray(np.rot90(portrait())), exif=exif)
    assert run_image(source, tmp_path / "b.png", "--background", "none") == 0
    with Image.open(tmp_path / "b.png") as opened:
        assert opened.getexif().get(0x0112, 1) == 1, "turned twice by every viewer"
    assert np.array_equal(load(tmp_path / "b.png", "RGB"), portrait())


@pytest.mark.parametrize("background", ["none", "transparent", "#123456"])
@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_the_color_profile_is_kept(run_image, tmp_path, background, suffix) -> None:
    profile = b"a profile, not looked into" * 9
    source = save(tmp_path / "a.png", icc_profile=profile)
    target = tmp_path / f"b{suffix}"
    assert run_image(source, target, "--background", background) == 0
    with Image.open(target) as opened:
        assert opened.info.get("icc_profile") == profile


# Which names


def test_stems_are_kept_in_a_folder_that_is_made(run_image, tmp_path) -> None:
    inputs = [save(tmp_path / "in" / name) for name in ("one.jpg", "two.x.png", "Three.webp")]
    target = tmp_path / "not" / "there" / "yet"
    assert run_image(*inputs, target, "--background", "matte") == 0
    assert files_in(target) == ["Three.png", "one.png", "two.x.png"]


def test_a_folder_of_pictures_goes_into_a_folder(run_image, tmp_path) -> None:
    for number, size_hw in ((2, (40, 60)), (10, (60, 40)), (11, (64, 64))):
        save(tmp_path / "in" / f"{number}.png", portrait(size_hw))
    assert run_image(tmp_path / "in", tmp_path / "out", "--background", "matte") == 0
    assert files_in(tmp_path / "out") == ["10.png", "11.png", "2.png"]
    assert load(tmp_path / "out" / "10.png", "L").shape == (60, 40)


def test_one_picture_into_an_existing_folder(run_image, tmp_path) -> None:
    source, folder = save(tmp_path / "a.jpg"), tmp_path / "out.d"
    folder.mkdir()
    assert run_image(source, folder) == 0
    assert files_in(folder) == ["a.png"]


def test_force_replaces(run_image, tmp_path) -> None:
    source, target = save(tmp_path / "a.png"), tmp_path / "b.png"
    target.write_bytes(b"old")
    assert run_image(source, target, "--force", "--background", "none") == 0
    assert np.array_equal(load(target, "RGB"), portrait())


def test_the_report_says_how_many_and_where(bright_network, tmp_path, capsys) -> None:
    inputs = [str(save(tmp_path / "in" / f"{number}.png")) for number in range(3)]
    words = [*inputs, str(tmp_path / "out"), "--network", str(bright_network)]
    assert run.main(["image", *words]) == 0
    said = capsys.readouterr()
    assert "3 " in said.out and str(tmp_path / "out") in said.out and "OpenVINO" in said.out
    assert not said.err


# What is refused, and leaves nothing behind


@pytest.mark.parametrize("into", ["b.png", "out"])
@pytest.mark.parametrize("contents", [None, b"", b"plain words\n", b"\x89PNG\r\n\x1a\n"])
def test_a_missing_or_broken_input_is_named(run_image, tmp_path, capsys, contents, into) -> None:
    source = tmp_path / "a.png"
    if contents is not None:
        source.write_bytes(contents)
    before = files_in(tmp_path)
    assert run_image(source, tmp_path / into) == 1
    assert "a.png" in one_line(capsys)
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_missing_input_leaves_an_old_output_alone(run_image, tmp_path, capsys, force) -> None:
    target = save(tmp_path / "b.png")
    old = target.read_bytes()
    assert run_image(tmp_path / "none.png", target, *force) == 1
    said = one_line(capsys)
    assert "none.png" in said or "b.png" in said
    assert target.read_bytes() == old


def test_a_missing_input_among_others_is_named_before_anything_is_made(
    run_image, tmp_path, capsys
) -> None:
    source = save(tmp_path / "a.png")
    assert run_image(source, tmp_path / "none.png", tmp_path / "out") == 1
    assert "none.png" in one_line(capsys)
    assert files_in(tmp_path) == ["a.png"]


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_transparent_is_refused_where_it_cannot_be_kept(
    run_image, tmp_path, capsys, suffix
) -> None:
    source, target = save(tmp_path / "a.png"), tmp_path / f"cut{suffix}"
    assert run_image(source, target, "--background", "transparent") == 1
    said = one_line(capsys)
    assert target.name in said and ".png" in said and ".webp" in said
    assert files_in(tmp_path) == ["a.png"]


@pytest.mark.parametrize("name", ["b.xyz", "b.mp4"])
def test_an_unknown_kind_is_named_as_the_user_wrote_it(run_image, tmp_path, capsys, name) -> None:
    assert run_image(save(tmp_path / "a.png"), tmp_path / name) == 1
    said = one_line(capsys)
    assert str(tmp_path / name) in said and ".png" in said
    assert files_in(tmp_path) == ["a.png"]


def test_two_inputs_of_one_stem_are_refused(run_image, tmp_path, capsys) -> None:
    inputs = [save(tmp_path / folder / "a.png") for folder in ("x", "y")]
    assert run_image(*inputs, tmp_path / "out") == 1
    assert "a.png" in one_line(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("into_folder", [False, True])
def test_an_existing_output_is_kept_without_force(run_image, tmp_path, capsys, into_folder) -> None:
    sources = [save(tmp_path / "in" / name) for name in ("a.png", "b.png")]
    old = tmp_path / "out" / "b.png"
    old.parent.mkdir()
    old.write_bytes(b"old")
    words = [*sources, old.parent] if into_folder else [sources[1], old]
    assert run_image(*words) == 1
    said = one_line(capsys)
    assert "b.png" in said and "--force" in said
    assert old.read_bytes() == b"old" and files_in(old.parent) == ["b.png"]


def test_several_inputs_need_a_folder(run_image, tmp_path, capsys) -> None:
    sources = [save(tmp_path / "in" / name) for name in ("a.png", "b.png")]
    assert run_image(*sources, tmp_path / "out.png") == 1
    assert "out.png" in one_line(capsys) and not (tmp_path / "out.png").exists()


def test_a_picture_is_not_written_over_itself(run_image, tmp_path, capsys) -> None:
    source = save(tmp_path / "a.png")
    old = source.read_bytes()
    for target in (source, tmp_path):
        assert run_image(source, target, "--force") == 1
        assert "a.png" in one_line(capsys) and source.read_bytes() == old


def test_a_file_where_the_folder_should_be_is_named(run_image, tmp_path, capsys) -> None:
    source = save(tmp_path / "a.png")
    (tmp_path / "out").write_text("a file")
    assert run_image(source, tmp_path / "out") == 1
    assert str(tmp_path / "out") in one_line(capsys)
    assert (tmp_path / "out").read_text() == "a file"


def test_a_folder_that_is_not_there_or_empty_is_named(run_image, tmp_path, capsys) -> None:
    assert run_image(save(tmp_path / "a.png"), tmp_path / "none" / "b.png") == 1
    assert "none" in one_line(capsys) and files_in(tmp_path) == ["a.png"]
    (tmp_path / "in").mkdir()
    assert run_image(tmp_path / "in", tmp_path / "out") == 1
    assert str(tmp_path / "in") in one_line(capsys) and not (tmp_path / "out").exists()


def test_one_word_is_not_enough(run_image, tmp_path, capsys) -> None:
    assert run_image(save(tmp_path / "a.png")) in (1, 2)
    assert "OUTPUT" in one_line(capsys)


@pytest.mark.parametrize("background", ["grren", "blur:0", "behind.png"])
def test_a_background_that_cannot_be_is_named(run_image, tmp_path, capsys, background) -> None:
    (tmp_path / "behind.png").write_bytes(b"no picture")
    spec = tmp_path / background if background == "behind.png" else background
    assert run_image(save(tmp_path / "a.png"), tmp_path / "b.png", "--background", spec) == 1
    assert background.removeprefix("blur:") in one_line(capsys)
    assert not (tmp_path / "b.png").exists()


def test_a_missing_network_is_named(tmp_path, capsys) -> None:
    words = [save(tmp_path / "a.png"), tmp_path / "b.png", "--network", tmp_path / "none.onnx"]
    assert run.main(["image", *map(str, words)]) == 1
    assert "none.onnx" in one_line(capsys) and files_in(tmp_path) == ["a.png"]


def test_grow_and_feather_reach_the_matte(run_image, tmp_path) -> None:
    square = np.zeros((720, 720, 3), np.uint8)
    square[200:500, 200:500] = 255
    source, covered = save_rgb(tmp_path / "in.png", square), {}
    for name, words in (("as-is", []), ("grown", ["--grow", "10"]), ("shrunk", ["--grow", "-10"])):
        target = tmp_path / f"{name}.png"
        assert run_image(source, target, "--background", "matte", *words) == 0
        with Image.open(target) as matte:
            covered[name] = np.sqrt(np.asarray(matte).sum() / 255)
    assert covered["grown"] - covered["as-is"] == pytest.approx(20, abs=3)
    assert covered["shrunk"] - covered["as-is"] == pytest.approx(-20, abs=3)


@pytest.mark.parametrize("command", ["video", "image"])
@pytest.mark.parametrize(
    "words", [("--grow", "51"), ("--feather", "-50.5"), ("--grow", "nan"), ("--edges", "soft")]
)
def test_edges_that_cannot_be_are_refused_alike(tmp_path, capsys, command, words) -> None:
    assert run.main([command, str(save(tmp_path / "a.png")), str(tmp_path / "b.mkv"), *words]) == 1
    said = one_line(capsys)
    assert words[1].rstrip(".5") in said and "give" in said
    assert files_in(tmp_path) == ["a.png"]


def test_each_kind_of_edges_is_another_picture(run_image, tmp_path) -> None:
    soft = np.asarray(Image.fromarray(portrait((45, 60))).resize((480, 360)))
    source, shown = save(tmp_path / "a.png", soft), []
    for edges in ("plain", "sharp", "clean"):
        target = tmp_path / f"{edges}.png"
        assert run_image(source, target, "--background", "#00b140", "--edges", edges) == 0
        shown.append(load(target, "RGB").astype(int))
    assert np.abs(shown[0] - shown[1]).max() > 8 and np.abs(shown[1] - shown[2]).max() > 8


@pytest.mark.parametrize("background", ["none", "matte"])
def test_what_does_not_blend_is_not_cleaned(run_image, tmp_path, background) -> None:
    source, shown = save(tmp_path / "a.png", portrait((360, 480))), []
    for edges in ("sharp", "clean"):
        target = tmp_path / f"{edges}.png"
        assert run_image(source, target, "--background", background, "--edges", edges) == 0
        shown.append(target.read_bytes())
    assert shown[0] == shown[1]


def save_rgb(path: Path, rgb: np.ndarray) -> Path:
    Image.fromarray(rgb).save(path)
    return path
