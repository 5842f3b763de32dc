"""Silencing: games of which nothing is told for a time, in a store that is edited by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import uvloop

from healthprobe.ports import ConfigurationError
from healthprobe.surfaces import terminal
from healthprobe.surfaces.durations import Duration
from healthprobe.surfaces.naming import scheme_of, shown
from healthprobe.surfaces.recording import store_at

_LONGEST_WHY = 200


def silence(url: str, game_ids: Sequence[str], lasting: Duration | None, why: str) -> bool:
    """Silence these games in the store at `url`, or with None end their silence; whether all were there.

    Raises ConfigurationError for a store that is edited elsewhere, and for a reason that is no line of text.
    """
    if scheme_of(url) in {"file", "http", "https"}:
        raise ConfigurationError(
            f"--records {shown(url)} is edited where it is written: put silenced_until: 2026-11-25T14:00:00Z there"
        )
    if not why.isprintable() or len(why) > _LONGEST_WHY:
        raise ConfigurationError(f"--why: write one line of at most {_LONGEST_WHY} characters")
    until = None if lasting is None else datetime.now(UTC) + timedelta(seconds=lasting)
    known = uvloop.run(_silence(url, game_ids, until, why))
    if known:
        terminal.tell(_told(known, until))
    unknown = [game_id for game_id in dict.fromkeys(game_ids) if game_id not in known]
    if unknown:
        terminal.tell(f"not in {shown(url)}: {', '.join(map(terminal.printable, unknown))}")
    return not unknown


async def _silence(url: str, game_ids: Sequence[str], until: datetime | None, why: str) -> set[str]:
    async with store_at(url, existing=True) as store:
        return await store.silence(game_ids, until, why)


def _told(known: set[str], until: datetime | None) -> str:
    names = terminal.printable(next(iter(known))) if len(known) == 1 else terminal.counted(len(known), "game")
    if until is None:
        return f"{names}: what is wrong is told again"
    return f"{names}: nothing is told until {until.astimezone():%H:%M:%S} ({until:%Y-%m-%d %H:%M:%S} UTC)"
