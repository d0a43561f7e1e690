"""doctor: what is there is found, what is missing comes with what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest

import run
from stream import doctor
from stream.doctor import Finding, examine
from stream.sinks import loopbacks
from stream.sinks.codecs import CODECS
from stream.sources import cameras
from stream.v4l2 import LOOPBACK_DRIVER, Device, Mode


def by_subject(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def test_whatever_is_missing_comes_with_what_to_do() -> None:
    findings = examine()
    assert all(finding.remedy for finding in findings if not finding.is_there)
    assert all(finding.what for finding in findings)


def test_the_engine_and_every_codec_of_this_machine_are_found() -> None:
    found = by_subject(examine())
    assert "OpenVINO" in found["engine, processor"].what
    for name, codec in CODECS.items():
        assert found[f"codec {name}"].is_there
        assert codec.encoder in found[f"codec {name}"].what


def test_a_missing_encoder_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks_x265(name: str, mode: str) -> object:
        if name == "libx265":
            raise av.codec.codec.UnknownCodecError(name)
        return None

    monkeypatch.setattr(av, "Codec", lacks_x265)
    found = by_subject(list(doctor._codecs()))
    assert not found["codec h265"].is_there
    assert found["codec h264"].is_there


def test_a_missing_network_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("stream.networks.MODELS", tmp_path)
    (tmp_path / "person.onnx").write_bytes(bytes(1_200_000))
    found = by_subject(list(doctor._networks()))
    assert found["network, default fp32"].what == "person.onnx, 1.2 MB"
    assert not found["network, default int8"].is_there
    assert "person-small.int8.onnx" in found["network, small int8"].what


@pytest.mark.skipif(sys.platform != "linux", reason="V4L2 devices are Linux's")
def test_a_loopback_is_a_virtual_camera_and_no_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    webcam = Device("/dev/video0", "uvcvideo", "Webcam", "usb-1", True, False)
    loopback = Device("/dev/video9", LOOPBACK_DRIVER, "Virtual Camera", "platform:9", False, True)
    mode = Mode("MJPG", (720, 1280), Fraction(30))
    monkeypatch.setattr(cameras, "devices", lambda: [webcam, loopback])
    monkeypatch.setattr(cameras, "modes_of", lambda path, fourccs: [mode])
    monkeypatch.setattr(loopbacks, "devices", lambda: [webcam, loopback])
    assert [finding.what for finding in doctor._cameras()] == [
        "/dev/video0: Webcam, 1280×720 MJPG at 30 fps"
    ]
    assert [finding.what for finding in doctor._virtual_cameras()] == [
        "/dev/video9: Virtual Camera"
    ]


def test_the_table_is_printed_and_nothing_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "engine" in printed and "what to do" in printed


@pytest.mark.virtualcam
def test_real_devices_are_found(shared: Path, tmp_path: Path) -> None:
    boot = shared / "rig" / "boot"
    if not boot.exists() or shutil.which("insmod") is None:
        pytest.skip("needs ../shared/rig and insmod (package kmod)")
    root = Path(__file__).parent.parent
    command = f"cd {root} && COLUMNS=200 {sys.executable} run.py doctor"
    words = [str(boot), "-t", "60", str(tmp_path), "bash", "-c", command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "/dev/video0: vivid, 1280×720" in done.stdout
    assert "/dev/video9: Webcam" in done.stdout
    assert "/dev/video10: VirtualCamera" in done.stdout
