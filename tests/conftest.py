"""What several test files share: clips, pictures and networks made on the spot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from stream.backends import open_backend
from stream.frame import SRGB, ColorTags, Frame, Matrix, Primaries, Transfer, layout_of
from stream.interfaces import Backend

SHARED = Path(__file__).parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real pictures and clips beside the project; skips where it is not there."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs ../shared/data (real clips and pictures), which is not here")
    return SHARED


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A --data folder: twelve pictures to learn from, three to judge on, a room, a cut-out."""
    import cv2

    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    stems = [f"train/voc_person-{number}" for number in range(12)]
    stems += [f"val/{group}-1" for group in ("portrait_apm", "supervisely", "friends")]
    for folder, stem in (each.split("/") for each in stems):
        mask = np.zeros((48, 64), np.uint8)
        cv2.circle(mask, [int(v) for v in rng.integers(16, 44, 2)], 14, 255, -1)
        picture = np.where(mask[..., None] > 0, (180, 190, 230), (70, 60, 50)).astype(np.uint8)
        for name, plane in (("images", picture), ("masks", mask)):
            (root / "people" / folder / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / "people" / folder / name / f"{stem}.png"), plane)
    (root / "backgrounds" / "rooms").mkdir(parents=True)
    cv2.imwrite(str(root / "backgrounds/rooms/room.png"), np.full((50, 50, 3), 90, np.uint8))
    (root / "cutouts").mkdir()
    cv2.imwrite(str(root / "cutouts" / "1.png"), np.full((40, 30, 4), 255, np.uint8))
    return root


@pytest.fixture(scope="module")
def eager() -> Iterator[None]:
    """TensorFlow without tracing, which takes far longer than a few steps of a tiny network."""
    tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    tensorflow.config.run_functions_eagerly(True)
    yield
    tensorflow.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def bright_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose alpha is known: the mean of R, G and B over 255, pixel by pixel."""
    onnx = pytest.importorskip("onnx", reason="onnx, of requirements-dev.txt, is not installed")
    make, kinds = onnx.helper, onnx.TensorProto
    graph = make.make_graph(
        [
            make.make_node("ReduceMean", ["image"], ["mean"], axes=[3], keepdims=1),
            make.make_node("Mul", ["mean", "scale"], ["alpha"]),
        ],
        "bright",
        [make.make_tensor_value_info("image", kinds.FLOAT, [1, 64, 64, 3])],
        [make.make_tensor_value_info("alpha", kinds.FLOAT, [1, 64, 64, 1])],
        [make.make_tensor("scale", kinds.FLOAT, [], [1 / 255])],
    )
    path = tmp_path_factory.mktemp("network") / "bright.onnx"
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def engine(bright_network: Path) -> Iterator[Backend]:
    """That network, loaded once: closing it is left to the end."""
    backend = open_backend(bright_network)
    close = backend.close
    backend.close = lambda: None  # type: ignore[method-assign]
    yield backend
    close()


@pytest.fixture(scope="session")
def tiny_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny .keras network with weights that make its alphas differ from pixel to pixel."""
    keras = pytest.importorskip("keras", reason="requirements-train.txt is not installed")
    from train.unet import build_unet

    keras.utils.set_random_seed(3)
    model = build_unet(0.25, 0.3)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            rng = np.random.default_rng(len(layer.name))
            shape = layer.gamma.shape
            layer.set_weights([rng.uniform(0.5, 2, shape) for _ in range(4)])
    path = tmp_path_factory.mktemp("network") / "tiny.keras"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def tiny_onnx(tiny_network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, exported for inputs of 64 × 64."""
    from export.to_onnx import onnx_from_keras

    target = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    onnx_from_keras(tiny_network, target, (64, 64))
    return target


@pytest.fixture(scope="session")
def stop_after_five() -> str:
    """Code for a child process: `run.py video` says so when five frames are done, and waits."""
    return """
import threading
import stream.main
def five(done, total):
    if done == 5:
        print("five are done", flush=True)
        threading.Event().wait(60)  # until the signal comes
whole = stream.main.video
stream.main.video = lambda config, on_progress: whole(config, five)
"""


MakeClip = Callable[..., Path]


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """make_clip(name, …) writes a small clip into the test's folder; see `write_clip`."""

    def make(name: str, **options: object) -> Path:
        return write_clip(tmp_path / name, **options)  # type: ignore[arg-type]

    return make


def write_clip(
    path: Path,
    *,
    pts: list[int] | None = None,
    time_base: Fraction = Fraction(1, 30),
    rate: Fraction | None = None,
    size_hw: tuple[int, int] = (48, 64),
    pix_fmt: str = "yuv420p",
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    tags: dict[str, int] | None = None,
    with_sound: bool = False,
    rotation: int = 0,
    matrix: tuple[int, ...] | None = None,
    pixel_aspect: Fraction | None = None,
    interlaced: bool = False,
) -> Path:
    """Ten frames (or one for each of `pts`): a bright square that moves over a dark ground.

    `rate` is what the file says of itself (one frame a tick, if not given); `matrix` is the
    display matrix, where `rotation` is not enough.
    """
    pts = list(range(10)) if pts is None else pts
    h, w = size_hw
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate or 1 / time_base, options=options or {})
        stream.width, stream.height, stream.pix_fmt = w, h, pix_fmt
        stream.codec_context.time_base = stream.time_base = time_base
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if rotation:
            stream.set_display_rotation(rotation)
        if matrix:
            stream.set_display_matrix(matrix)
        if pixel_aspect:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if interlaced:
            stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct
        sound = container.add_stream("aac", 48_000, layout="mono") if with_sound else None
        for number, moment in enumerate(pts):
            rgb = np.full((h, w, 3), 30, np.uint8)
            left = (number * 4) % max(1, w - h // 3)
            rgb[h // 3 : 2 * h // 3 + 1, left : left + h // 3 + 1] = (240, 200, 180)
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = moment, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            _write_tone(container, sound, seconds=float((pts[-1] + 1) * time_base))
    return path


def _write_tone(container: av.container.OutputContainer, sound: object, seconds: float) -> None:
    for start in range(0, int(48_000 * seconds), 1024):
        wave = np.sin(np.arange(start, start + 1024) * 2 * np.pi * 440 / 48_000)
        frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
        container.mux(sound.encode(frame))
    container.mux(sound.encode(None))


BT709_LIMITED = ColorTags(Matrix.BT709, False, Primaries.BT709, Transfer.BT709)
MakeFrame = Callable[..., Frame]


@pytest.fixture(scope="session")
def make_frame() -> MakeFrame:
    """make_frame(format, size_hw, …) makes a frame without a file; see `frame_from_nothing`."""
    return frame_from_nothing


def frame_from_nothing(
    format: str = "yuv420p",
    size_hw: tuple[int, int] = (48, 64),
    *,
    fill: tuple[int, ...] | None = None,
    planes: tuple[np.ndarray, ...] | None = None,
    color: ColorTags | None = None,
    pts: int = 0,
    time_base: Fraction = Fraction(1, 30),
    pixel_aspect: Fraction = Fraction(1),
    seed: int = 0,
) -> Frame:
    """The given planes; or one value for each plane; or noise over all values of the format."""
    layout = layout_of(format)
    assert layout is not None
    if planes is None:
        rng, top = np.random.default_rng(seed), (1 << layout.depth) - 1
        planes = tuple(
            rng.integers(0, top, hw, layout.dtype, endpoint=True)
            if fill is None
            else np.full(hw, fill[number], layout.dtype)
            for number, hw in enumerate(layout.plane_hws(size_hw))
        )
    color = color or (SRGB if layout.family == "rgb" else BT709_LIMITED)
    return Frame(planes, format, color, pts, time_base, 0, pixel_aspect)


@pytest.fixture
def coco_root(tmp_path: Path) -> Path:
    """A small COCO in its own layout, white where people are and gray where they are unknown.

    To learn from: 1 two people, a polygon and a run-length mask that overlap; 2 a person in a
    crowd, and a speck; 3 a crowd; 4 a speck; 5 a dog; 6 nothing. To judge on: 7 a person.
    """
    h, w = 120, 160

    def rectangle(category: int, top: int, left: int, bottom: int, right: int) -> dict:
        corners = [left, top, right, top, right, bottom, left, bottom]
        box = [left, top, right - left, bottom - top]
        return {"category_id": category, "segmentation": [corners], "bbox": box, "iscrowd": 0}

    def columns(category: int, left: int, right: int, iscrowd: int) -> dict:
        counts = [left * h, (right - left) * h, (w - right) * h]  # column by column, zeros first
        region = {"size": [h, w], "counts": counts}
        box = [left, 0, right - left, h]
        return {"category_id": category, "segmentation": region, "bbox": box, "iscrowd": iscrowd}

    dog, person = 1, 7  # so that a number in the code, instead of the name, is found out
    speck = rectangle(person, 100, 10, 104, 14)
    shown: dict[str, dict[int, list[dict]]] = {
        "train2017": {
            1: [rectangle(person, 20, 30, 90, 80), columns(person, 70, 100, 0)],
            2: [
                rectangle(person, 40, 100, 110, 130),
                columns(person, 90, 160, 1),
                speck,
            ],
            3: [columns(person, 0, 80, 1)],
            4: [speck],
            5: [rectangle(dog, 20, 30, 90, 80)],
            6: [],
        },
        "val2017": {7: [rectangle(person, 10, 10, 110, 70)]},
    }
    root = tmp_path / "COCO"
    for split, pictures in shown.items():
        (root / split).mkdir(parents=True)
        for number, regions in pictures.items():
            picture = np.full((h, w, 3), 20, np.uint8)
            for region in sorted(regions, key=lambda region: -region["iscrowd"]):
                if region["category_id"] == person:
                    x, y, width, height = region["bbox"]
                    picture[y : y + height, x : x + width] = 128 if region["iscrowd"] else 255
            cv2.imwrite(str(root / split / f"{number:012}.jpg"), picture)
        content = {
            "licenses": [{"id": 4, "name": "Attribution"}],
            "categories": [{"id": dog, "name": "dog"}, {"id": person, "name": "person"}],
            "images": [
                {"id": n, "file_name": f"{n:012}.jpg", "height": h, "width": w, "license": 4}
                for n in pictures
            ],
            "annotations": [
                region | {"id": 10 * n + i, "image_id": n}
                for n, regions in pictures.items()
                for i, region in enumerate(regions)
            ],
        }
        path = root / "annotations" / f"instances_{split}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    return root
