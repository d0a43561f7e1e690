"""The closing report of a run."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Report:
    """What was done, in figures and in words; `losses` is what the input could not give."""

    frames: int
    seconds: float
    engine: str
    output: str
    unit: str = "frames"
    stages_ms: dict[str, tuple[float, ...]] = field(default_factory=dict)  # p50, p95
    notes: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)

    @property
    def fps(self) -> float:
        """Frames per second over the whole run, opening and closing included."""
        return self.frames / self.seconds if self.seconds else 0.0

    def lines(self) -> list[str]:
        """The report, a line each."""
        lines = [
            f"{self.output}: {self.frames} {self.unit} in {self.seconds:.1f} s "
            f"({self.fps:.1f} fps)",
            f"engine: {self.engine}",
        ]
        if self.stages_ms:
            stages = ", ".join(
                f"{stage} {p50:.1f}/{p95:.1f}" for stage, (p50, p95) in self.stages_ms.items()
            )
            lines.append(f"ms a frame, median/95 %: {stages}")
        return lines + self.notes
