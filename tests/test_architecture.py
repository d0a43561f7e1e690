"""The house: which room may know which, what is loaded when, and how large a part may get."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_KNOW = {"stream": set(), "train": set(), "export": {"train", "stream"}}
HEAVY = {
    *("tensorflow", "keras", "torch", "jax", "openvino", "onnx", "onnxruntime"),
    *(
        "tensorrt",
        "tensorrt_rtx",
        "cuda",
        "tf2onnx",
        "nncf",
        "pycocotools",
        "cv2",
        "av",
        "cupy",
        "skimage",
    ),
}
TRAINING = {"tensorflow", "keras", "torch", "jax", "tf2onnx", "pycocotools"}
FUNCTION_LINES, FILE_LINES = 40, 300
RUN_LINES = 200  # ten commands, each its flags and one call into a room
TOP_LEVEL = {
    *("run.py", "models", "stream", "train", "export", "tests", "docs"),
    *("requirements.txt", "requirements-train.txt", "requirements-gpu.txt", "requirements-dev.txt"),
    *("Makefile", "README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", ".gitignore", ".ci"),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _files(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


ROOM_FILES = _files(*MAY_KNOW)
FILES = [ROOT / "run.py", *ROOM_FILES]
TREES = {path: ast.parse(path.read_text("utf-8")) for path in [*FILES, *_files("tests", "docs")]}


def _said(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _imports(path: Path, *, at_load: bool = False) -> Iterator[str]:
    """Dotted names that a file imports, `from a import b` as a and a.b; with `at_load` those that
    are imported as soon as the file is."""
    waiting: list[ast.AST] = [TREES[path]]
    while waiting:
        node = waiting.pop()
        if at_load and (isinstance(node, Function | ast.Lambda) or _is_type_checking(node)):
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_said(path)}: a relative import"
            yield str(node.module)
            yield from (f"{node.module}.{name.name}" for name in node.names)
        waiting.extend(ast.iter_child_nodes(node))


def _packages(path: Path, *, at_load: bool = False) -> set[str]:
    return {name.split(".")[0] for name in _imports(path, at_load=at_load)}


def _loaded_with(start: Path, *, at_load: bool) -> set[Path]:
    """Our own files that are imported with one of them, packages' __init__ included."""
    reached, waiting = set(), [start]
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        for name in _imports(path, at_load=at_load):
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                place = ROOT.joinpath(*parts[:length])
                near = [place.with_suffix(".py"), place / "__init__.py"]
                waiting += [each for each in near if each in TREES]
    return reached


def _functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(TREES[path]) if isinstance(node, Function))


@pytest.mark.parametrize("room", MAY_KNOW)
def test_arrows_between_rooms_point_one_way(room: str) -> None:
    for path in _files(room):
        strangers = _packages(path) & {*MAY_KNOW, "run", "docs"} - {room}
        assert strangers <= MAY_KNOW[room], f"{_said(path)} imports {strangers}"


@pytest.mark.parametrize("path", TREES, ids=_said)
def test_nothing_imports_the_tests(path: Path) -> None:
    ours = {"tests", "conftest", *(test.stem for test in _files("tests"))}
    assert not _packages(path) & ours


def test_help_waits_for_no_heavy_library() -> None:
    for path in _loaded_with(ROOT / "run.py", at_load=True):
        heavy = _packages(path, at_load=True) & HEAVY
        assert not heavy, f"run.py --help loads {_said(path)}, which imports {heavy}"


def test_help_really_loads_no_heavy_library() -> None:
    code = (
        "import sys, run\n"
        "assert run.main(['--help']) == 0\n"
        f"print('loaded:', *({HEAVY!r} & set(sys.modules)), file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr.split()) == (0, ["loaded:"]), ran.stderr


@pytest.mark.parametrize("path", _files("stream"), ids=_said)
def test_running_never_loads_what_training_needs(path: Path) -> None:
    assert not _packages(path) & TRAINING


@pytest.mark.parametrize("path", ROOM_FILES, ids=_said)
def test_rooms_neither_print_nor_exit(path: Path) -> None:
    for node in ast.walk(TREES[path]):
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        exits = {"print", "exit", "quit", "sys.exit", "os._exit", "sys.stdout.write"}
        assert called not in exits, f"{_said(path)}:{node.lineno}: {called}"
        if isinstance(node, ast.Raise) and node.exc is not None:
            assert "SystemExit" not in ast.unparse(node.exc), f"{_said(path)}:{node.lineno}"


@pytest.mark.parametrize("path", ROOM_FILES, ids=_said)
def test_no_error_is_swallowed_unseen(path: Path) -> None:
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ExceptHandler):
            where = f"{_said(path)}:{node.lineno}"
            assert node.type is not None, f"{where}: a bare except"
            does_nothing = all(isinstance(line, ast.Pass) for line in node.body)
            wide = ast.unparse(node.type) in ("Exception", "BaseException")
            assert not (wide and does_nothing), f"{where}: swallows every error"


@pytest.mark.parametrize("path", FILES, ids=_said)
def test_functions_and_files_stay_small(path: Path) -> None:
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= (RUN_LINES if path.name == "run.py" else FILE_LINES)
    for function in _functions(path):
        assert function.end_lineno is not None
        lines = function.end_lineno - function.lineno + 1
        assert lines <= FUNCTION_LINES, f"{_said(path)}: {function.name} has {lines} lines"


@pytest.mark.parametrize("path", FILES, ids=_said)
def test_what_is_public_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(TREES[path]), f"{_said(path)} has no docstring"
    waiting: list[ast.AST] = [TREES[path]]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if not isinstance(node, Function | ast.ClassDef):
                continue
            if node.name.startswith("_") and node.name != "__call__":
                continue
            assert ast.get_docstring(node), f"{_said(path)}:{node.lineno}: {node.name}"
            if isinstance(node, ast.ClassDef):
                waiting.append(node)


def test_no_file_carries_the_name_of_a_library_in_use() -> None:
    rooms = {*MAY_KNOW, "run", "tests", "docs"}
    libraries = {name for path in TREES for name in _packages(path)} - rooms
    named_so = [_said(path) for path in TREES if path.stem in libraries]
    assert not named_so


def test_no_room_for_things_without_a_name() -> None:
    nowhere = {"utils", "util", "common", "helpers", "helper", "misc"}
    assert not [_said(path) for path in FILES if nowhere & {path.stem, path.parent.name}]


@pytest.mark.parametrize("room", MAY_KNOW)
def test_each_room_has_the_same_door(room: str) -> None:
    assert {"__init__.py", "config.py", "main.py"} <= {
        path.name for path in (ROOT / room).iterdir()
    }
    body = TREES[ROOT / room / "__init__.py"].body
    assert isinstance(body[0], ast.Expr), "the docstring comes first"
    assert [node.name for node in body[1:] if isinstance(node, ast.ClassDef)] == [
        f"{room.capitalize()}Error"
    ]
    assert len(body) == 2, "a docstring and the room's root error; nothing else"


def test_the_top_level_holds_only_what_belongs_there() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("needs the git checkout, to tell what is tracked")
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    assert {name.split("/")[0] for name in tracked if name} <= TOP_LEVEL
