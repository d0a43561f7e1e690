"""Live for an hour while all around it changes, in the rig: what it costs and whether it holds.

    python tests/soak.py
    python tests/soak.py --minutes 2 --seed 7 --json soak.json

The camera is cut, the reader leaves and the background changes at random. Prints a table; the exit
code is 1 when a bar was missed that no busy machine excuses: the times are only shown.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

from rig import clips, guest
from rig.verdict import TIMES, judge, of_samples

app = App(help=__doc__)


@app.default
def soak(
    *,
    minutes: float = 60,
    seed: int = 1,
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
) -> int:
    """Soak, print what was measured, and judge it."""
    console = Console()
    try:
        rig = guest.the_rig()
    except guest.Missing as reason:
        console.print(f"skipped: {reason}")
        return 0
    picture = clips.portrait()
    if picture is None:
        console.print("skipped: needs the portrait in scikit-image's wheel")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder) / "clips"
        seen.mkdir()
        clips.make_all(seen, picture)
        out = Path(folder) / "out"
        done = guest.boot(
            rig, out, 60 * minutes + 180, seen, "-m", "rig.hour", f"{minutes}", f"{seed}"
        )
        report = out / "soak.json"
        if done.returncode or not report.exists():
            console.print(done.stdout + done.stderr, markup=False)
            return 1
        measured = json.loads(report.read_text())
    measured |= of_samples(measured["samples"])
    if json_file is not None:
        json_file.write_text(json.dumps(measured, indent=2) + "\n")
    judged = judge(measured)
    console.print(table(measured, judged))
    console.print(measured["told"], markup=False)
    return int(not all(held for name, held in judged.items() if name not in TIMES))


def table(measured: dict[str, Any], judged: dict[str, bool]) -> Table:
    """All figures, those with a bar first."""
    shown = Table("", "measured", "")
    names = [*judged, *(name for name in measured if name not in judged)]
    for name in names:
        value = measured[name]
        if name in ("samples", "told"):
            continue
        said = f"{value:.2f}" if isinstance(value, float) else str(value)
        verdict = {True: "holds", False: "MISSED"}[judged[name]] if name in judged else ""
        shown.add_row(name.replace("_", " "), said, verdict)
    return shown


if __name__ == "__main__":
    app()
