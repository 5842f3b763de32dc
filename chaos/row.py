"""The row: what one fault came to, as the report shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """`delivered` (each event once) and `repeated` are by consumer; `worst_delivery` is in seconds after a fault ended.

    `differences` are in words; without any the row holds. In a `disturbed` one engines took so long to answer, on a
    busy machine, that the oracle may be wrong about them. A `skipped` one could not be performed here.
    """

    fault: str
    ticks: int = 0
    expected: int = 0
    in_log: int = 0
    delivered: Mapping[str, int] = field(default_factory=dict)
    repeated: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0
    duplicated: int = 0
    worst_delivery: float = 0.0
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    disturbed: bool = False
    skipped: bool = False

    @property
    def holds(self) -> bool:
        return not self.differences
