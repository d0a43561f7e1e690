"""Nothing that the app is fed leaves the machine, and nothing is reported about its use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parent.parent

# Every way to the network or to a process that could take it, as CPython announces them.
WATCHED_RUN = """
import sys
seen = []
WAYS = ("socket.", "subprocess.", "os.fork", "os.posix_spawn", "os.exec", "urllib.", "http.")
sys.addaudithook(lambda event, args: seen.append((event, args)) if event.startswith(WAYS) else None)
import run
code = run.main(sys.argv[1:])
assert not seen, seen
assert sys.modules.get("openvino_telemetry") is None
sys.exit(code)
"""


def watched(*words: object) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-c", WATCHED_RUN, *map(str, words)]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_a_picture_is_matted_without_a_word_to_anybody(
    tmp_path: Path, bright_network: Path
) -> None:
    Image.new("RGB", (64, 48), (200, 150, 120)).save(tmp_path / "in.png")
    words = ("image", tmp_path / "in.png", tmp_path / "out.png", "--network", bright_network)
    done = watched(*words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.png").exists()


def test_doctor_asks_nobody() -> None:
    done = watched("doctor")
    assert done.returncode == 0, done.stderr
