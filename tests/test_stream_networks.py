"""Networks by name and precision, and the files that the project ships."""

from pathlib import Path

import pytest

from stream.config import VideoConfig
from stream.networks import MODELS, SHIPPED, network_file


@pytest.mark.parametrize(
    ("name", "precision", "file"),
    [
        ("default", "int8", "person.int8.onnx"),
        ("default", "fp32", "person.onnx"),
        ("small", "int8", "person-small.int8.onnx"),
        ("small", "fp32", "person-small.onnx"),
    ],
)
def test_a_name_is_a_shipped_file(name, precision, file) -> None:
    config = VideoConfig("in.mp4", Path("out.mp4"), network=name, precision=precision)
    assert config.network_file == MODELS / file
    assert config.network_file.is_file()


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_any_other_name_is_a_file(precision) -> None:
    assert network_file("runs/mine.onnx", precision) == Path("runs/mine.onnx")


@pytest.mark.parametrize("name", SHIPPED.values())
def test_each_network_comes_with_its_card_and_its_source(name) -> None:
    assert (MODELS / f"{name}.json").is_file()
    assert (MODELS / f"{name}.keras").is_file()
