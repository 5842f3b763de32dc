"""An instance of the program, with its own proxies to the cluster and its own wall clock."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chaos.cluster import unfenced
from chaos.cluster.line import Line
from chaos.program import Program
from chaos.stepped_clock import SteppedClock


class Instance(Program):
    """Reaches the cluster by `line`. If it is not `fenced` it appends without fencing tokens."""

    def __init__(self, name: str, folder: Path, arguments: Sequence[str], line: Line, *, fenced: bool) -> None:
        self.name = name
        self.line = line
        self.clock = SteppedClock(folder / "clock")
        command = self.clock.command if fenced else unfenced.command(self.clock.command)
        super().__init__(folder, arguments, command)
