"""Runs every fault that is asked for on one cluster, and then on one without fencing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from chaos.cluster.cast import cluster_cast
from chaos.cluster.faults import FAULTS, WITHOUT_A_FENCE
from chaos.cluster.form import ClusterForm
from chaos.cluster.stage import ClusterStage, cluster_stage
from chaos.runner import Say, run_on
from chaos.verdict import Row


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof holds if all `rows` do, and `unfenced`, if it was run, does not."""

    rows: list[Row]
    unfenced: Row | None

    @property
    def holds(self) -> bool:
        shows = self.unfenced is None or self.unfenced.breaks > 0
        return shows and all(row.holds for row in self.rows)


async def run_faults(form: ClusterForm, seed: int, names: Collection[str], say: Say) -> Proof:
    """Returns the rows of these faults. Leaves nothing running."""
    say(
        f"seed {seed}: {form.games + form.faltering:,} engines, {form.instances} instances, "
        f"a tick every {form.interval:g}s, leases of {form.lease:g}s; the servers start"
    )
    async with cluster_stage(form, seed) as environment:
        rows = await run_on(cluster_cast, environment, FAULTS, names, say)
        return Proof(rows, await _unfenced(environment, say) if WITHOUT_A_FENCE.name in names else None)


async def _unfenced(environment: ClusterStage, say: Say) -> Row:
    fault = WITHOUT_A_FENCE
    say(f"{fault.name}: {fault.title}")
    async with cluster_cast(environment, fault.name, fenced=False) as cast:
        row = await cast.observe(fault.title, partial(fault.inject, cast))
    say(f"{fault.name}: {row.breaks} out of order after {row.injected} faults")
    return row
