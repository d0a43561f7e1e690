"""Networks by name and precision, and the files that the project ships."""

from pathlib import Path

import pytest

from stream.config import VideoConfig
from stream.networks import MODELS, SHIPPED, network_file


@pytest.mark.parametrize(
    ("name", "precision", "file"),
    [
        ("default", "int8", "person.int8.onnx"),
        ("default", "fp16", "person.fp16.onnx"),
        ("default", "fp32", "person.onnx"),
        ("small", "int8", "person-small.int8.onnx"),
        ("small", "fp32", "person-small.onnx"),
    ],
)
def test_a_name_is_a_shipped_file(name, precision, file) -> None:
    assert network_file(name, precision) == MODELS / file
    assert (MODELS / file).is_file()


def test_each_engine_has_a_precision_of_its_own() -> None:
    assert VideoConfig("in.mp4", Path("out.mp4")).precision is None
    assert network_file("default", None, "cpu") == MODELS / "person.int8.onnx"
    assert network_file("default", None, "tensorrt") == MODELS / "person.fp16.onnx"
    assert network_file("default", "fp32", "tensorrt") == MODELS / "person.onnx"


@pytest.mark.parametrize("precision", ["int8", "fp16", "fp32", None])
def test_any_other_name_is_a_file(precision) -> None:
    assert network_file("runs/mine.onnx", precision) == Path("runs/mine.onnx")


@pytest.mark.parametrize("name", SHIPPED.values())
def test_each_network_comes_with_its_card_and_its_source(name) -> None:
    assert (MODELS / f"{name}.json").is_file()
    assert (MODELS / f"{name}.keras").is_file()
