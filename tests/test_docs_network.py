"""docs/network.md shows the network that train/unet.py builds."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="requirements-train.txt is not installed")

DOCS = Path(__file__).parent.parent / "docs"


def test_the_chart_is_drawn_from_the_code():
    spec = importlib.util.spec_from_file_location("network", DOCS / "network.py")
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    model = drawing.sized(1.0, (160, 288))
    page = (DOCS / "network.md").read_text()
    assert drawing.chart(model) in page
    assert drawing.total(model) in page
