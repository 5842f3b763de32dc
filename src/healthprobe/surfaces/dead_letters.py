"""Dead letters as people and machines see them: what a publisher refused for good, and how to send it again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import uvloop
from rich.text import Text

from healthprobe.domain.event import format_instant
from healthprobe.ports import DeadLetter, HealthEventLog
from healthprobe.surfaces import terminal
from healthprobe.surfaces.adapters import Adapters

_NO_DEAD_LETTER = "No dead letter in this log."
ALL = 1_000_000
"""More letters than anybody reads."""
_POLL_INTERVAL = 0.25
_PATIENCE = 5.0
"""How long, in seconds, a running relay is given to send one more of what was asked for."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What became of the dead letters that were asked for again; `waiting` ones go out with the next run."""

    asked_for: int
    delivered: int
    refused: int
    waiting: int


def show_dead_letters(url: str, *, game: str | None, as_json: bool) -> None:
    """Write the dead letters of the log at `url`, of one `game` alone if given, in the order of their parking."""
    letters = [letter for letter in uvloop.run(_dead_letters(url)) if game in {None, letter.event.game_id}]
    if not terminal.people_watch(json_wanted=as_json):
        for letter in letters:
            terminal.write_json(_document(letter))
        return
    if letters:
        _print(letters)
    else:
        terminal.console_for().print(_NO_DEAD_LETTER)


def replay_dead_letters(url: str, *, as_json: bool) -> bool:
    """Ask for every dead letter again and tell what becomes of them; whether none was refused once more.

    It is the relays of a run that send them: they alone have the publishers' secrets. Without a run they wait for one.
    """
    replay = uvloop.run(_replay(url))
    if not terminal.people_watch(json_wanted=as_json):
        terminal.write_json(asdict(replay))
    else:
        terminal.console_for().print(_summary(replay))
    return replay.refused == 0


@asynccontextmanager
async def _log(url: str) -> AsyncIterator[HealthEventLog]:
    adapters = Adapters(existing=True)
    try:
        yield await adapters.log(url)
    finally:
        await adapters.aclose()


async def _dead_letters(url: str) -> Sequence[DeadLetter]:
    async with _log(url) as log:
        return await log.dead_letters(ALL)


async def _replay(url: str) -> Replay:
    async with _log(url) as log:
        asked_for = {_key(letter) for letter in await log.dead_letters(ALL)}
        await log.ask_again()
        left, waiting = len(asked_for), len(asked_for)
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + _PATIENCE
        while waiting and loop.time() < give_up_at:
            await asyncio.sleep(_POLL_INTERVAL)
            letters = [letter for letter in await log.dead_letters(ALL) if _key(letter) in asked_for]
            left, before, waiting = len(letters), waiting, sum(letter.due for letter in letters)
            if waiting < before:
                give_up_at = loop.time() + _PATIENCE
    return Replay(len(asked_for), delivered=len(asked_for) - left, refused=left - waiting, waiting=waiting)


def _key(letter: DeadLetter) -> tuple[str, str]:
    return letter.publisher, letter.event.id


def _summary(replay: Replay) -> str:
    if not replay.asked_for:
        return _NO_DEAD_LETTER
    told = [f"{replay.delivered:,} of {terminal.counted(replay.asked_for, 'dead letter')} delivered"]
    if replay.refused:
        told.append(f"{replay.refused:,} refused again: see healthprobe events --dead")
    if replay.waiting:
        told.append(f"{replay.waiting:,} waiting: healthprobe run sends them, as soon as their publisher takes them")
    return "; ".join(told) + "."


def _document(letter: DeadLetter) -> dict[str, Any]:
    return {
        "publisher": letter.publisher,
        "parked_at": format_instant(letter.parked_at),
        "reason": letter.reason,
        "due": letter.due,
        "event": letter.event.as_document(),
    }


def _print(letters: Sequence[DeadLetter]) -> None:
    """Letters that one publisher refused for one reason stand together below both: it is mostly one cause for many."""
    console = terminal.console_for()
    for (publisher, reason), refused in groupby(letters, key=lambda letter: (letter.publisher, letter.reason)):
        console.print(Text(terminal.printable(publisher), "bold"), overflow="fold")
        console.print(Text(terminal.printable(reason)), overflow="fold")
        for letter in refused:
            terminal.print_line(console, _line(letter))


def _line(letter: DeadLetter) -> Text:
    event_type = letter.event.event_type
    return Text.assemble(
        "  ",
        (letter.parked_at.astimezone().strftime(terminal.DATED), terminal.ASIDE),
        "  ",
        terminal.verdict_text(event_type),
        (terminal.printable(letter.event.id), "bold"),
        ("  asked for again" if letter.due else "", terminal.ASIDE),
    )
