"""The runner: injects the chosen faults into their deployments, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import TypeVar

from chaos.alert_receivers import NOT_INSTALLED
from chaos.deployments import postgres_deployment, proxied_deployment, sqlite_deployment
from chaos.disk import CannotMount
from chaos.environment import Environment, sql_environment
from chaos.faults import ON_POSTGRES, ON_SQLITE, THROUGH_PROXIES, AnyDeployment, Fault
from chaos.form import Form
from chaos.report import differences
from chaos.verdict import Row

_REPEATS = 2

AnyEnvironment = TypeVar("AnyEnvironment", bound=Environment)

Say = Callable[[str], None]


async def run_faults(form: Form, seed: int, names: Collection[str], say: Say) -> list[Row]:
    """Injects the faults with these names and returns their rows. Nothing is left running, however it ends."""
    say(f"seed {seed}: {form.games + form.faltering} engines, a tick every {form.interval:g}s; the servers start")
    async with sql_environment(form, seed) as environment:
        return [
            *await run_on(postgres_deployment, environment, ON_POSTGRES, names, say),
            *await run_on(proxied_deployment, environment, THROUGH_PROXIES, names, say),
            *await run_on(sqlite_deployment, environment, ON_SQLITE, names, say),
        ]


async def run_on(
    enter: Callable[[AnyEnvironment], AbstractAsyncContextManager[AnyDeployment]],
    environment: AnyEnvironment,
    faults: Sequence[Fault[AnyDeployment]],
    names: Collection[str],
    say: Say,
) -> list[Row]:
    """Starts one deployment, injects those of `faults` that have these names, and returns their rows."""
    chosen = [fault for fault in faults if fault.name in names]
    if not chosen:
        return []
    try:
        async with enter(environment) as deployment:
            rows = [await _run_fault(deployment, fault, say) for fault in chosen]
            # all engines recover: the next deployment has an empty log
            rows[-1] = _with(rows[-1], await deployment.differences_at_the_end())
    except CannotMount as refusal:
        note = f"no disk can be mounted here: {refusal}"
        rows = [Row(fault.title, skipped=True, notes=(note,)) for fault in chosen]
    return rows


async def _run_fault(deployment: AnyDeployment, fault: Fault[AnyDeployment], say: Say) -> Row:
    """Returns the row of one fault. A fault is repeated, with a note, if the machine was too busy to judge it."""
    if fault.needs_alertmanager and deployment.alerted is not None and deployment.alerted.alertmanager is None:
        return Row(fault.title, skipped=True, notes=(NOT_INSTALLED,))
    earlier: list[str] = []
    while True:
        say(f"{fault.name}: {fault.title}")
        row = await deployment.run(fault.title, partial(fault.inject, deployment))
        row = row if fault.may_repeat else row.without_repeats()
        say(f"{fault.name}: {row.in_log:,} of {row.expected:,} events, {'holds' if row.holds else 'DIFFERS'}")
        if not row.holds:
            say("\n".join([differences(row), *row.notes]))
            await deployment.recover_and_settle()
        if row.holds or not row.disturbed or len(earlier) == _REPEATS:
            return replace(row, notes=(*earlier, *row.notes))
        earlier.append(f"repeated, for {len(row.differences)} differences came with this: {row.notes[-1]}")


def _with(row: Row, differences: Sequence[str]) -> Row:
    return replace(row, differences=(*row.differences, *differences))
