"""The row: the result of one fault, as the report shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """`delivered` (each event once) and `repeated` are by consumer; `worst_delivery` is in seconds after a fault ended.

    `injected` is how often there was a fault, where that is counted, and `breaks` how many events do not continue their
    game's: with the next sequence and the other type. `differences` are sentences; without any the row holds. In a
    `disturbed` one engines took so long to answer, on a busy machine, that the oracle may be wrong about them. A
    `skipped` one could not be run on this machine.
    """

    fault: str
    injected: int = 0
    ticks: int = 0
    expected: int = 0
    in_log: int = 0
    delivered: Mapping[str, int] = field(default_factory=dict)
    repeated: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0
    duplicated: int = 0
    breaks: int = 0
    worst_delivery: float = 0.0
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    disturbed: bool = False
    skipped: bool = False

    @property
    def holds(self) -> bool:
        return not self.differences
