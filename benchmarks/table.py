"""The table: rows as Markdown with their ratio to the floor, and targets with what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.measure import Row

FLOOR = "wrk, full speed"
LIKE_PROBER = "wrk, full speed, a connection an engine"
LIKE_RUN = "wrk, a connection an engine, 1 s"
PROBER = "our prober"
RUN = "healthprobe run, file: records"
HAPROXY = "HAProxy checks"

_HEADINGS = (
    "who", "connections", "engines", "probes/s", "CPU us a probe", "user + system", "x floor", "peak MB",
    "KiB a kept connection", "failed", "notes",
)  # fmt: skip
_NONE = "-"


@dataclass(frozen=True, slots=True)
class Target:
    """A promise: `measured` is at most `limit`. None is what could not be measured in this run."""

    promise: str
    measured: float | None
    limit: float

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not measured"
        return "kept" if self.measured <= self.limit else "**missed**"


def markdown(rows: Sequence[Row]) -> str:
    """All rows as one table."""
    floor = _cpu(rows, FLOOR)
    return table(_HEADINGS, [_cells(row, floor) for row in rows])


def targets(rows: Sequence[Row]) -> list[Target]:
    """Returns the targets of the design for these rows: against the floor, and against wrk with as many connections."""
    prober, run, haproxy = (_cpu(rows, name) for name in (PROBER, RUN, HAPROXY))
    floor, like_prober, like_run = (_cpu(rows, name) for name in (FLOOR, LIKE_PROBER, LIKE_RUN))
    return [
        Target(f"{PROBER} / {FLOOR}, CPU, at most 1.6", _ratio(prober, floor), 1.6),
        Target(f"{PROBER} / {LIKE_PROBER}, CPU, at most 1.6", _ratio(prober, like_prober), 1.6),
        Target(f"{RUN} / {FLOOR}, CPU, at most 2.5", _ratio(run, floor), 2.5),
        Target(f"{RUN} / {LIKE_RUN}, CPU, at most 2.5", _ratio(run, like_run), 2.5),
        Target(f"{RUN} / {HAPROXY}, CPU, under 0.5", _ratio(run, haproxy), 0.5),
        Target(f"{RUN}, peak memory in MB, at most 120", _memory(rows, RUN), 120),
    ]


def markdown_of_targets(found: Sequence[Target]) -> str:
    rows = [(target.promise, _number(target.measured, ".2f"), target.verdict) for target in found]
    return table(("target", "measured", ""), rows)


def _cells(row: Row, floor: float | None) -> tuple[str, ...]:
    notes = "; ".join(row.notes)
    cost = row.cost
    if cost is None or row.engine_count is None:
        return (row.name, row.connections, *[_NONE] * 8, notes)
    user, system = (part / cost.probes * 1e6 for part in (cost.cpu.user, cost.cpu.system))
    per_connection = cost.memory_per_connection
    return (
        row.name,
        row.connections,
        f"{row.engine_count:,}",
        f"{cost.rate:,.0f}",
        f"{cost.cpu_per_probe * 1e6:.1f}",
        f"{user:.1f} + {system:.1f}",
        _number(_ratio(cost.cpu_per_probe, floor), ".2f"),
        f"{cost.peak_memory / 1e6:.1f}",
        _number(None if per_connection is None else per_connection / 1024, ".2f"),
        f"{cost.failed:,}",
        notes,
    )


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cpu(rows: Sequence[Row], name: str) -> float | None:
    return next((row.cost.cpu_per_probe for row in rows if row.name == name and row.cost is not None), None)


def _memory(rows: Sequence[Row], name: str) -> float | None:
    return next((row.cost.peak_memory / 1e6 for row in rows if row.name == name and row.cost is not None), None)


def _ratio(cost: float | None, other: float | None) -> float | None:
    return None if cost is None or other is None else cost / other


def _number(value: float | None, form: str) -> str:
    return _NONE if value is None else format(value, form)
