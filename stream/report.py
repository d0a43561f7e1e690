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

    @property
    def complaints(self) -> list[str]:
        """Why not all is as it was asked for."""
        return [f"the input is damaged: {loss}" for loss in self.losses]

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


@dataclass(slots=True)
class Reports:
    """What was done of several clips in one run, and why the rest was not; or of one."""

    reports: list[Report]
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    @property
    def complaints(self) -> list[str]:
        """Why not all is as it was asked for."""
        return [each for report in self.reports for each in report.complaints] + self.failures

    def lines(self) -> list[str]:
        """The reports, and one line about them all."""
        lines = [line for report in self.reports for line in report.lines()]
        clips = len(self.reports) + len(self.failures)
        if clips == 1:
            return lines
        frames = sum(report.frames for report in self.reports)
        return [
            *lines,
            f"{len(self.reports)} of {clips} clips, {frames} frames in {self.seconds:.1f} s "
            f"({frames / self.seconds:.1f} fps)",
        ]
