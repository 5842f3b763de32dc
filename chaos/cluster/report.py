"""The report: the table of faults, the differences of rows that do not hold, and the log without fencing."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.table import table

from chaos.cluster.form import ClusterForm
from chaos.cluster.performance import Proof
from chaos.report import by_consumer, notes_of
from chaos.verdict import Row

TITLE = """\
## Nothing lost, nothing twice

While scripted engines fail and recover, each fault is injected into instances that share them, or into the NATS nodes
that have their log and their leases; an oracle computes from the engines' script what the log must contain for each
game. A row holds if the log is exactly that, each game's events alternate and have sequences without a gap, and a bus
has, after dropping repeated ids, exactly what the log has. *Worst time* is the longest from the begin of a fault, or
from its end, until all that the engines had done by then was in the log and on the bus. Alertmanager and PagerDuty must
have one alert in the end for each game whose incident is open and no other, as without a cluster.
"""

_HEADINGS = (
    "fault", "times", "events expected", "in the log", "lost", "twice", "out of order", "delivered",
    "repeated deliveries", "worst time", "holds",
)  # fmt: skip


def report(proof: Proof, form: ClusterForm, *, seed: int) -> str:
    """Returns the table with totals, then notes on single rows."""
    rows = [*map(_cells, proof.rows), *([_totals(proof.rows)] if proof.rows else [])]
    if proof.unfenced is not None:
        rows.append(_cells_of_unfenced(proof.unfenced))
    parts = [TITLE + "\n" + table(_HEADINGS, rows), _form(form, seed)]
    parts += [notes for row in proof.rows if (notes := notes_of(row))]
    if proof.unfenced is not None:
        parts.append(_notes_of_unfenced(proof.unfenced))
    return "\n\n".join(parts)


def _cells(row: Row) -> list[str]:
    return [
        row.fault,
        f"{row.injected:,}",
        f"{row.expected:,}",
        f"{row.in_log:,}",
        f"{row.lost:,}",
        f"{row.duplicated:,}",
        f"{row.breaks:,}",
        by_consumer(row.delivered),
        by_consumer(row.repeated),
        f"{row.worst_delivery:.1f} s",
        "yes" if row.holds else "**no**",
    ]


def _totals(rows: Sequence[Row]) -> list[str]:
    return _cells(
        Row(
            "all",
            injected=sum(row.injected for row in rows),
            expected=sum(row.expected for row in rows),
            in_log=sum(row.in_log for row in rows),
            delivered={"all": sum(sum(row.delivered.values()) for row in rows)},
            repeated={"all": sum(sum(row.repeated.values()) for row in rows)},
            lost=sum(row.lost for row in rows),
            duplicated=sum(row.duplicated for row in rows),
            breaks=sum(row.breaks for row in rows),
            worst_delivery=max(row.worst_delivery for row in rows),
            differences=tuple(difference for row in rows for difference in row.differences),
        )
    )


def _cells_of_unfenced(row: Row) -> list[str]:
    """Returns the cells of a row that ends in the middle of an act: what has not arrived is not lost."""
    return [
        row.fault, f"{row.injected:,}", "-", f"{row.in_log:,}", "-", f"{row.duplicated:,}", f"{row.breaks:,}", "-", "-",
        "-", "no, as it must be" if row.breaks else "**yes: nothing is proven**",
    ]  # fmt: skip


def _form(form: ClusterForm, seed: int) -> str:
    return (
        f"{form.games:,} engines fail and recover, {form.faltering} fail now and then for less than the threshold. "
        f"{form.instances} instances, and one that comes and goes; three NATS nodes, three replicas. Interval "
        f"{form.interval * 1000:g} ms, timeout {form.timeout * 1000:g} ms, lease {form.lease:g} s. Repeat its random "
        f"choices with seed {seed}."
    )


def _notes_of_unfenced(row: Row) -> str:
    shown = [difference for difference in row.differences if "stands where" in difference][:3]
    return "\n".join(["Without fencing, among others:", "", *(f"- {difference}" for difference in shown)])
