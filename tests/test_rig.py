"""`run.py live` on real devices, inside a small Linux of its own: see tests/rig/.

Each test boots a guest and runs a file of scenarios in it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rig import clips, guest

pytestmark = pytest.mark.rig

# Seconds that a guest may take: several times what it takes.
SCENARIOS = {
    "start": 240,
    "signals": 180,
    "lost": 360,
    "idle": 120,
    "keys": 90,
    "pictures": 120,
    "pace": 200,
    "browser": 240,
}


@pytest.fixture(scope="session")
def rig() -> Path:
    """The rig; skips where there is none and none can be built."""
    try:
        return guest.the_rig()
    except guest.Missing as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def seen_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the webcams see, and two networks of which the matte is known."""
    picture = clips.portrait()
    if picture is None:
        pytest.skip("needs the portrait in scikit-image's wheel, which is not installed")
    folder = tmp_path_factory.mktemp("clips")
    clips.make_all(folder, picture)
    write_network(folder / "bar.onnx", [("Mul", 8 / 255), ("Sub", 3.0)])  # bright: 1, dark: 0
    write_network(folder / "everybody.onnx", [("Add", 255.0)])
    return folder


def write_network(path: Path, steps: list[tuple[str, float]]) -> None:
    """A network whose alpha is made by these steps from the mean of R, G and B, pixel by pixel."""
    onnx = pytest.importorskip("onnx", reason="onnx, of requirements-dev.txt, is not installed")
    make, kinds = onnx.helper, onnx.TensorProto
    nodes = [make.make_node("ReduceMean", ["image"], ["step0"], axes=[3], keepdims=1)]
    for number, (operation, _) in enumerate(steps):
        names = [f"step{number}", f"by{number}"]
        nodes.append(make.make_node(operation, names, [f"step{number + 1}"]))
    nodes.append(make.make_node("Clip", [f"step{len(steps)}", "zero", "one"], ["alpha"]))
    constants = {f"by{number}": value for number, (_, value) in enumerate(steps)}
    graph = make.make_graph(
        nodes,
        path.stem,
        [make.make_tensor_value_info("image", kinds.FLOAT, [1, 180, 320, 3])],
        [make.make_tensor_value_info("alpha", kinds.FLOAT, [1, 180, 320, 1])],
        [
            make.make_tensor(name, kinds.FLOAT, [], [value])
            for name, value in {**constants, "zero": 0.0, "one": 1.0}.items()
        ],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)


def play(rig: Path, clips: Path, out: Path, scenario: str) -> None:
    """Boot, run the scenarios of a file, and tell what they measured."""
    quietly = ["-q", "-rs", "-p", "no:cacheprovider", "--confcutdir", "tests/rig", "-m", ""]
    done = guest.boot(
        rig,
        out,
        SCENARIOS[scenario],
        clips,
        *("-m", "pytest", *quietly, f"tests/rig/live_{scenario}.py"),
    )
    for measured in guest.figures(out):
        print(json.dumps(measured))
    print(*(line for line in done.stdout.splitlines() if line.startswith("SKIPPED")), sep="\n")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_live(rig, seen_clips, tmp_path, scenario):
    if scenario == "browser" and shutil.which("chromium") is None:
        pytest.skip("needs chromium, which is not installed")
    play(rig, seen_clips, tmp_path, scenario)


def test_live_with_a_driver_that_cannot_tell_who_reads(rig, seen_clips, tmp_path):
    able = [each for each in guest.rigs() if (each / "modules" / "v4l2loopback-old.ko").exists()]
    if not able:
        pytest.skip(f"no rig has v4l2loopback 0.12.7; tests/rig/build {guest.CACHE} builds one")
    play(able[0], seen_clips, tmp_path, "idle")
