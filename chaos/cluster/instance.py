"""The instance: one of the programs that share the fleet, with a line to the cluster and a wall clock of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chaos.cluster import unfenced
from chaos.cluster.line import Line
from chaos.program import Program
from chaos.stepped_clock import SteppedClock


class Instance(Program):
    """Reaches the cluster by `line`. One that is not `fenced` writes whatever it decided, whoever wrote meanwhile."""

    def __init__(self, name: str, folder: Path, arguments: Sequence[str], line: Line, *, fenced: bool) -> None:
        self.name = name
        self.line = line
        self.clock = SteppedClock(folder / "clock")
        command = self.clock.command if fenced else unfenced.command(self.clock.command)
        super().__init__(folder, arguments, command)
