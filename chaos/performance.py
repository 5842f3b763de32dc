"""The performance: every fault that is asked for, done to its cast, one row after the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import TypeVar

from chaos.casts import postgres_cast, proxied_cast, sqlite_cast
from chaos.disk import CannotMount
from chaos.faults import ON_POSTGRES, ON_SQLITE, THROUGH_PROXIES, AnyCast, Fault
from chaos.form import Form
from chaos.report import differences
from chaos.row import Row
from chaos.stage import Stage, sql_stage

_MORE_TRIES = 2

AnyStage = TypeVar("AnyStage", bound=Stage)

Say = Callable[[str], None]


async def performed(form: Form, seed: int, names: Collection[str], say: Say) -> list[Row]:
    """The rows of the faults with these names. However it ends, nothing is left running."""
    say(f"seed {seed}: {form.actors + form.faltering} engines, a tick every {form.interval:g}s; the servers start")
    async with sql_stage(form, seed) as stage:
        return [
            *await rows_of(postgres_cast, stage, ON_POSTGRES, names, say),
            *await rows_of(proxied_cast, stage, THROUGH_PROXIES, names, say),
            *await rows_of(sqlite_cast, stage, ON_SQLITE, names, say),
        ]


async def rows_of(
    enter: Callable[[AnyStage], AbstractAsyncContextManager[AnyCast]],
    stage: AnyStage,
    faults: Sequence[Fault[AnyCast]],
    names: Collection[str],
    say: Say,
) -> list[Row]:
    """The rows of the faults with these names, done to one cast, which is there for as long as they last."""
    chosen = [fault for fault in faults if fault.name in names]
    if not chosen:
        return []
    try:
        async with enter(stage) as cast:
            rows = [await _performed(cast, fault, say) for fault in chosen]
            await stage.play.all_recover()  # for the next cast, whose log knows of no incident
    except CannotMount as refusal:
        note = f"no disk can be mounted here: {refusal}"
        rows = [Row(fault.told, skipped=True, notes=(note,)) for fault in chosen]
    return rows


async def _performed(cast: AnyCast, fault: Fault[AnyCast], say: Say) -> Row:
    """One row, performed again where it differs and was disturbed; its notes tell of that."""
    earlier: list[str] = []
    while True:
        say(f"{fault.name}: {fault.told}")
        row = await cast.perform(fault.told, partial(fault.perform, cast))
        say(f"{fault.name}: {row.in_log:,} of {row.expected:,} events, {'holds' if row.holds else 'DIFFERS'}")
        if not row.holds:
            say("\n".join([differences(row), *row.notes]))
            await cast.calm()
        if row.holds or not row.disturbed or len(earlier) == _MORE_TRIES:
            return replace(row, notes=(*earlier, *row.notes))
        earlier.append(f"performed again, for {len(row.differences)} differences came with this: {row.notes[-1]}")
