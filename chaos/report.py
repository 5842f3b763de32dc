"""The report: the table of faults, and what differs where a row does not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.page import preamble
from benchmarks.table import table

from chaos.form import Form
from chaos.verdict import Row

PAGE = Path("docs/chaos.md")

SHOWN = 5
"""How many differences of a row are printed; one bug makes many."""

_TITLE = """\
# Proof by fault

Written by the command below. While scripted engines fail and recover, each fault is injected into the whole program
with real servers. An oracle computes from the engines' script what the log must hold, game by game. A row holds if the
log is exactly that, and each consumer, after dropping repeated ids, has exactly what the log has, each game's events in
order. *Worst delivery* is the longest time from the end of a fault until every consumer had received everything.
Alertmanager (a real one) and PagerDuty (scripted) are told of alerts: a row holds only if in the end each game whose
incident is open has one alert at both, no other game has one, and no alert ever fired for a game that never failed.
*Alerts right after* is the longest time until that was so, from when everything was delivered.
"""

_HEADINGS = (
    "fault", "ticks", "events expected", "in the log", "delivered", "repeated deliveries", "lost",
    "duplicated in the log", "worst delivery", "times", "alerts fired", "open in the end", "alerts right after",
    "holds",
)  # fmt: skip


def report(rows: Sequence[Row], form: Form, *, seed: int) -> str:
    """Returns the table with its totals, and then the notes and differences of single rows."""
    parts = [table(_HEADINGS, [*map(_cells, rows), _totals(rows)]), _form(form, seed)]
    parts += [notes for row in rows if (notes := notes_of(row))]
    return "\n\n".join(parts)


def page(command: str, facts: dict[str, str], text: str) -> str:
    """Returns the whole page of the documentation."""
    return f"{_TITLE}\n{preamble(command, facts)}\n\n{text}\n"


def differences(row: Row) -> str:
    """Returns the first differences of a row, one a line."""
    lines = [f"- {difference}" for difference in row.differences[:SHOWN]]
    more = len(row.differences) - SHOWN
    return "\n".join([*lines, *([f"- and {more:,} more"] if more > 0 else [])])


def _cells(row: Row) -> list[str]:
    if row.skipped:
        return [row.fault, *["-"] * (len(_HEADINGS) - 2), "not run here"]
    return [
        row.fault,
        f"{row.ticks:,}",
        f"{row.expected:,}",
        f"{row.in_log:,}",
        by_consumer(row.delivered),
        by_consumer(row.repeated),
        f"{row.lost:,}",
        f"{row.duplicated:,}",
        f"{row.worst_delivery:.1f} s",
        f"{row.injected:,}",
        by_consumer(row.alerts),
        "-" if row.incidents_open is None else f"{row.incidents_open:,}",
        f"{row.worst_alert:.1f} s",
        "yes" if row.holds else "**no**",
    ]


def _totals(rows: Sequence[Row]) -> list[str]:
    done = [row for row in rows if not row.skipped]
    return [
        "all",
        f"{sum(row.ticks for row in done):,}",
        f"{sum(row.expected for row in done):,}",
        f"{sum(row.in_log for row in done):,}",
        "",
        "",
        f"{sum(row.lost for row in done):,}",
        f"{sum(row.duplicated for row in done):,}",
        f"{max((row.worst_delivery for row in done), default=0.0):.1f} s",
        f"{sum(row.injected for row in done):,}",
        "",
        "",
        f"{max((row.worst_alert for row in done), default=0.0):.1f} s",
        "yes" if all(row.holds for row in done) else "**no**",
    ]


def by_consumer(counts: Mapping[str, int]) -> str:
    """Returns one number if it is the same for every consumer, else each consumer's."""
    if len(set(counts.values())) <= 1:
        return f"{sum(set(counts.values())):,}"
    return ", ".join(f"{name} {number:,}" for name, number in counts.items())


def _form(form: Form, seed: int) -> str:
    return (
        f"{form.games} engines fail and recover, {form.faltering} more fail one probe in four, which is never an "
        f"event. Interval {form.interval * 1000:g} ms, timeout {form.timeout * 1000:g} ms: 30 minutes at the default "
        f"interval of 5 s are 360 ticks. Seed {seed} repeats the random choices."
    )


def notes_of(row: Row) -> str:
    notes = [f"{row.fault}: {note}" for note in row.notes]
    if row.differences:
        notes.append(f"{row.fault} does not hold:\n\n{differences(row)}")
    return "\n\n".join(notes)
