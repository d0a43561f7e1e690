"""Engines that were built before: never the wrong one, never half of one."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from stream.backends import engine_cache
from stream.backends.engine_cache import EngineKey, find, keep, user_folder

BOUND = {"made by": "TensorRT 11.4", "gpu": "RTX 4070 (8.9)", "driver": "590.44, CUDA 13.1"}
ENGINE = b"an engine" * 1000


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "person.fp16.onnx"
    path.write_bytes(b"a network")
    return path


@pytest.fixture
def key(network: Path) -> EngineKey:
    return EngineKey.of(network, (160, 288), BOUND)


def test_what_is_kept_is_found_whole_with_its_card(key, tmp_path) -> None:
    path = keep(key, ENGINE, {"precision": "fp16"}, tmp_path / "cache")
    assert path is not None and path.name.startswith("person.fp16-160x288-")
    assert find(key, [tmp_path / "nowhere", tmp_path / "cache"]) == ENGINE
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["precision"] == "fp16" and card["bytes"] == len(ENGINE)
    assert BOUND.items() <= card.items()
    assert len(list(path.parent.iterdir())) == 2  # nothing half written stays


@pytest.mark.parametrize("part", BOUND)
def test_another_version_card_or_driver_is_another_engine(key, network, tmp_path, part) -> None:
    keep(key, ENGINE, {}, tmp_path)
    other = EngineKey.of(network, (160, 288), BOUND | {part: "another"})
    assert other.file_name != key.file_name
    assert find(other, [tmp_path]) is None


def test_another_size_or_content_is_another_engine(key, network, tmp_path) -> None:
    keep(key, ENGINE, {}, tmp_path)
    assert find(EngineKey.of(network, (160, 256), BOUND), [tmp_path]) is None
    network.write_bytes(b"the network, trained on")
    assert find(EngineKey.of(network, (160, 288), BOUND), [tmp_path]) is None


def test_an_engine_renamed_to_another_cards_is_not_loaded(key, network, tmp_path, caplog) -> None:
    path = keep(key, ENGINE, {}, tmp_path)
    other = EngineKey.of(network, (160, 288), BOUND | {"gpu": "RTX 3060 (8.6)"})
    for suffix in (".engine", ".json"):
        path.with_suffix(suffix).rename((tmp_path / other.file_name).with_suffix(suffix))
    with caplog.at_level(logging.WARNING):
        assert find(other, [tmp_path]) is None
    assert "it belongs to something else" in caplog.text


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda path: path.write_bytes(ENGINE[:-1]), "it is damaged"),
        (lambda path: path.with_suffix(".json").unlink(), "it cannot be read"),
        (lambda path: path.with_suffix(".json").write_text("{"), "it cannot be read"),
        (lambda path: path.with_suffix(".json").write_text("[]"), "it belongs to something else"),
    ],
)
def test_a_damaged_engine_is_built_again(key, tmp_path, caplog, harm, why) -> None:
    harm(keep(key, ENGINE, {}, tmp_path))
    with caplog.at_level(logging.WARNING):
        assert find(key, [tmp_path]) is None
    assert f"is built again: {why}" in caplog.text
    keep(key, ENGINE, {}, tmp_path)
    assert find(key, [tmp_path]) == ENGINE


def test_without_room_the_engine_serves_and_is_not_kept(
    key, tmp_path, caplog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with caplog.at_level(logging.WARNING):
        assert keep(key, ENGINE, {}, tmp_path / "cache") is None
    assert "is not kept, and built again next time: No space left" in caplog.text
    assert list((tmp_path / "cache").iterdir()) == []


def test_notes_are_of_one_thing_and_may_be_missing(tmp_path) -> None:
    ours = engine_cache.notes_file("timings", BOUND, tmp_path)
    assert ours != engine_cache.notes_file("timings", BOUND | {"gpu": "another"}, tmp_path)
    assert engine_cache.read_notes(ours) == b""
    engine_cache.replace(ours, b"timed")
    assert engine_cache.read_notes(ours) == b"timed"


@pytest.mark.parametrize(
    ("platform", "variable"), [("linux", "XDG_CACHE_HOME"), ("win32", "LOCALAPPDATA")]
)
def test_the_cache_is_the_users(monkeypatch, tmp_path, platform, variable) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    assert user_folder() == tmp_path / "video-background-remover"
    monkeypatch.delenv(variable)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "me")
    assert (tmp_path / "me") in user_folder().parents
