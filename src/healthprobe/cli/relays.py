"""`healthprobe relays`: how far each publisher and each alerter got."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
import uvloop

from healthprobe._util.text import printable
from healthprobe.alarms.alerter_states import alerter_states, forget_alerter
from healthprobe.app import terminal
from healthprobe.app.settings import DEFAULT_DATABASE
from healthprobe.app.urls import log_at
from healthprobe.cli import errors, options
from healthprobe.cli.api_client import At, is_on_command_line, run_client
from healthprobe.cli.events import ALL
from healthprobe.ports import ConfigurationError, DocumentLog
from healthprobe.worker.relay import events_behind


@dataclass(frozen=True, slots=True)
class RelayState:
    """One publisher: `lag` is the number of events that it has not received, `dead_letters` of those it refused.

    Of an alerter both are numbers of alerts.

    `error` says why delivery fails now, if a run that delivers could be asked.
    """

    publisher: str
    lag: int
    dead_letters: int
    error: str | None


def _show(url: str, failing: dict[str, str], *, as_json: bool) -> None:
    """Writes how far each publisher of the log at a URL got, those with the most lag first."""
    states = sorted(uvloop.run(_states(url, failing)), key=lambda state: (-state.lag, state.publisher))
    if not terminal.people_watch(json_wanted=as_json):
        for state in states:
            terminal.write_json(asdict(state))
        return
    table = terminal.table(
        {
            "publisher": {**terminal.FOLDS, "style": "bold"},
            "behind": {"justify": "right"},
            "dead letters": {"justify": "right"},
            **({"delivery failing": terminal.FOLDS} if failing else {}),
        }
    )
    for state in states:
        row = [printable(state.publisher), f"{state.lag:,}", f"{state.dead_letters:,}"]
        table.add_row(*row, *([printable(state.error or "")] if failing else []))
    terminal.console_for().print(table if states else "No publisher has received an event of this log.")


def _errors_at(at: str | None) -> dict[str, str]:
    """Returns the errors of publishers to which the run at a URL cannot deliver now.

    Raises ConfigurationError if it cannot be asked; at the default address there may be no run.
    """
    try:
        return {each.name: each.error for each in run_client(at).fleet().publishers if each.error is not None}
    except ConfigurationError:
        if at is None:
            return {}
        raise


async def _states(url: str, failing: dict[str, str]) -> list[RelayState]:
    async with log_at(url) as log:
        cursors = await log.all_cursors()
        behind = {name: await events_behind(log, cursor) for name, cursor in cursors.items()}
        letters = Counter(letter.publisher for letter in await log.dead_letters(ALL))
        if isinstance(log, DocumentLog):
            for name, (alerts, refused) in (await alerter_states(log)).items():
                behind[name] = alerts
                letters[name] = refused
    return [
        RelayState(name, behind.get(name, 0), letters[name], failing.get(name)) for name in sorted({*behind, *letters})
    ]


async def _forget(url: str, name: str) -> bool:
    async with log_at(url) as log:
        had_alerts = isinstance(log, DocumentLog) and await forget_alerter(log, name)
        return await log.forget_cursor(name) or had_alerts


def relays(
    context: typer.Context,
    log: options.ReadLog = DEFAULT_DATABASE,
    at: At = None,
    forget: Annotated[
        str | None,
        typer.Option(
            "--forget",
            metavar="NAME",
            help="Forget this publisher: --retain keeps no events for it any longer. If it comes back, it receives "
            "the whole log.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show how far each publisher got: its lag in events, its dead letters, and why delivery fails now.

    Alerters are shown too, with their lag in alerts and those that they refused.

    The log has the first two, the run at --at the error. With --log and without
    --at no run is asked, because the one at the default address may have another
    log.

    With --json, or if standard output is not a terminal: one object per line,
    with publisher, lag, dead_letters and error.

    Example: [b]healthprobe relays --log postgresql://db/platform[/b]
    """
    if forget is None:
        asks = at is not None or not is_on_command_line(context, "log")
        _show(log, _errors_at(at) if asks else {}, as_json=as_json)
    elif not uvloop.run(_forget(log, forget)):
        terminal.report(f"this log has no publisher {forget}: healthprobe relays lists them")
        raise typer.Exit(errors.BAD)
