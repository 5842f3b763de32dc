"""`healthprobe silence`: holds back the alarms of games for a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
import uvloop

from healthprobe._util.duration import Duration, parse_duration
from healthprobe._util.text import counted, printable
from healthprobe.app import terminal
from healthprobe.app.editable_records import store_at
from healthprobe.app.settings import DEFAULT_DATABASE
from healthprobe.app.url_names import scheme_of, shown
from healthprobe.cli import errors, options
from healthprobe.ports import ConfigurationError

_LONGEST_WHY = 200


async def _silence(url: str, game_ids: Sequence[str], until: datetime | None, why: str) -> set[str]:
    async with store_at(url, existing=True) as store:
        return await store.silence(game_ids, until, why)


def silence(
    games: Annotated[list[str], typer.Argument(metavar="GAME...", help="Ids of games.")],
    for_: Annotated[
        Duration | None,
        typer.Option(
            "--for",
            metavar="DURATION",
            envvar="HEALTHPROBE_SILENCE_FOR",
            parser=parse_duration,
            show_default=False,
            help="How long, as in 10m.",
        ),
    ] = None,
    why: Annotated[
        str,
        typer.Option("--why", metavar="TEXT", envvar="HEALTHPROBE_SILENCE_WHY", help="Why; shown with the game."),
    ] = "",
    end: Annotated[bool, typer.Option("--end", help="End the silence now.")] = False,
    records: options.EditableRecords = DEFAULT_DATABASE,
) -> None:
    """Send no alarms of these games for a time; exit 1 if one of them is not in the store.

    The games are still probed and shown. A failure that lasts beyond the end of
    the silence is decided then; one that ends before it is never sent.

    Example: [b]healthprobe silence game-7 --for 10m --why "new version"[/b]
    """
    if (for_ is None) != end:
        raise ConfigurationError("write how long, as in --for 10m, or --end")
    if scheme_of(records) in {"file", "http", "https"}:
        raise ConfigurationError(
            f"--records {shown(records)} cannot be edited here: write silenced_until: 2026-11-25T14:00:00Z there"
        )
    if not why.isprintable() or len(why) > _LONGEST_WHY:
        raise ConfigurationError(f"--why: write one line of at most {_LONGEST_WHY} characters")
    until = None if for_ is None else datetime.now(UTC) + timedelta(seconds=for_)
    known = uvloop.run(_silence(records, games, until, why))
    if known:
        names = printable(next(iter(known))) if len(known) == 1 else counted(len(known), "game")
        state = "no longer silenced"
        if until is not None:
            state = f"silenced until {until.astimezone():%H:%M:%S} ({until:%Y-%m-%d %H:%M:%S} UTC)"
        terminal.report(f"{names}: {state}")
    if unknown := [game_id for game_id in dict.fromkeys(games) if game_id not in known]:
        terminal.report(f"not in {shown(records)}: {', '.join(map(printable, unknown))}")
        raise typer.Exit(errors.BAD)
