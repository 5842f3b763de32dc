"""`healthprobe silence`: holds back the alarms of games for a time."""

from __future__ import annotations

import getpass
import secrets
import socket
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import typer
import uvloop

from healthprobe._util.duration import Duration, parse_duration
from healthprobe._util.text import counted, printable
from healthprobe.app import terminal
from healthprobe.app.settings import DEFAULT_DATABASE
from healthprobe.app.url_names import scheme_of, shown
from healthprobe.app.urls import EDITABLE, Adapters, log_at
from healthprobe.cli import errors, options
from healthprobe.domain.alarms.silence import (
    LONGEST_NOTE,
    MOST_GAMES,
    SILENCES,
    Matcher,
    Silence,
    silence_from_text,
    silence_of_record,
)
from healthprobe.domain.endpoint import host_of
from healthprobe.domain.labels import parse_selector
from healthprobe.domain.record import RUNNING, UNTIL_ENDED, RuntimeRecord, end_of_silence
from healthprobe.ports import ConfigurationError, DocumentLog, HealthprobeError
from healthprobe.telemetry.logs import configure_logs

_LONGEST_HOST = 253
_ID_BYTES = 4


async def read_silences(log: object) -> list[Silence]:
    """Returns the silences that a log keeps, and reports those that cannot be read."""
    found = []
    for silence_id, text in (await log.documents(SILENCES)).items() if isinstance(log, DocumentLog) else ():
        try:
            found.append(silence_from_text(silence_id, text))
        except ValueError as error:
            terminal.report(f"silence {silence_id} cannot be read, and silences nothing: {error}")
    return found


async def silences_at(url: str) -> list[Silence]:
    """Returns the silences of the log at a URL, those that end first at first."""
    async with log_at(url) as log:
        return sorted(await read_silences(log), key=lambda each: each.ends_at)


class _Desk:
    """The silences of a log, and the running games of a store that they concern. Used within `adapters`."""

    def __init__(self, adapters: Adapters, log: DocumentLog, records: str, query: str | None) -> None:
        self._adapters = adapters
        self._log = log
        self._url = records
        self._query = query
        self.games: list[RuntimeRecord] = []
        self.error = ""

    async def list_games(self) -> None:
        """Reads the running games. Where that fails, `error` says why: a silence needs no store."""
        try:
            store = await self._adapters.records(self._url, self._query)
            self.games = await store.list_by_status(RUNNING)
        except HealthprobeError as error:
            self.error = str(error)

    async def silences(self) -> list[Silence]:
        """Returns the silences that have not ended, those that end first at first, with those of the records."""
        now, own = datetime.now(UTC), filter(None, map(silence_of_record, self.games))
        found = [*await read_silences(self._log), *own]
        return sorted((each for each in found if now < each.ends_at), key=lambda each: each.ends_at)

    async def keep(self, *silences: Silence) -> None:
        """Writes silences to the log."""
        texts = {each.id: msgspec.json.encode(each.as_document()).decode() for each in silences}
        await self._log.put_documents(SILENCES, texts)

    async def end(self, *silences: Silence) -> None:
        """Removes silences from the log."""
        await self._log.put_documents(SILENCES, dict.fromkeys(each.id for each in silences))

    async def end_for_game(self, silences: Sequence[Silence], game_id: str) -> list[Silence]:
        """Takes a game out of silences that name it. Returns what is left of them."""
        left: list[Silence] = []
        for each in silences:
            if others := tuple(name for name in each.matcher.games if name != game_id):
                left.append(replace(each, matcher=replace(each.matcher, games=others)))
            else:
                await self.end(each)
        await self.keep(*left)
        return left

    async def end_in_records(self, game_ids: Iterable[str]) -> None:
        """Removes `silenced_until` from the records of these games. Raises ConfigurationError if they are read-only."""
        if self._query is not None or scheme_of(self._url) not in EDITABLE:
            where = f"--records {shown(self._url)} cannot be edited here: remove silenced_until there"
            raise ConfigurationError(f"{', '.join(map(printable, game_ids))}: silenced by the record; {where}")
        await (await self._adapters.editable_records(self._url)).silence(game_ids, None, "")


def _log_of(adapters_log: object, url: str) -> DocumentLog:
    if not isinstance(adapters_log, DocumentLog):
        raise ConfigurationError(f"--log {shown(url)} keeps no silences: its adapter has no documents")
    return adapters_log


def _matching(games: Iterable[RuntimeRecord], matcher: Matcher) -> list[str]:
    return [each.game_id for each in games if matcher.matches(each.game_id, host_of(each.engine_endpoint), each.labels)]


async def _begin(desk: _Desk, silence: Silence, records: str, *, as_json: bool) -> bool:
    """Writes a silence and reports what it concerns now. Returns whether every condition meets a running game."""
    await desk.keep(silence)
    await desk.list_games()
    if not terminal.people_watch(json_wanted=as_json):
        terminal.write_json(_as_document(silence))
    matcher, until = silence.matcher, silence.ends_at
    forever = until == UNTIL_ENDED
    when = "it is ended" if forever else f"{until.astimezone():%H:%M:%S} ({until:%Y-%m-%d %H:%M:%S} UTC)"
    found = _matching(desk.games, matcher)
    concerned = "" if desk.error else f", {counted(len(found), 'running game')}"
    terminal.report(
        f"{printable(matcher.description)}: silenced until {when}{concerned}; healthprobe silence --end {silence.id}"
    )
    if desk.error:
        terminal.report(f"which running games that concerns is not known: {desk.error}")
        return True
    running = {each.game_id for each in desk.games}
    if unknown := [each for each in matcher.games if each not in running]:
        terminal.report(f"not running, according to {shown(records)}: {', '.join(map(printable, unknown))}")
    elif not found:
        terminal.report(f"it matches no running game of {shown(records)} now; it will silence those that begin to")
    return bool(found) and not unknown


async def _end(desk: _Desk, names: Sequence[str], matcher: Matcher | None) -> bool:
    """Ends silences by id, by game, or by their conditions. Returns whether there was one for every name."""
    await desk.list_games()
    known = await desk.silences()
    kept = [each for each in known if each.id]
    if matcher is not None and (matcher.host or matcher.labels):
        alike = [each for each in kept if each.matcher == matcher]
        await desk.end(*alike)
        result = "no longer silenced" if alike else "there is no such silence"
        terminal.report(f"{printable(matcher.description)}: {result}")
        return bool(alike)
    missing = []
    for name in dict.fromkeys(names):
        by_id = [each for each in kept if each.id == name]
        of_game = [each for each in kept if name in each.matcher.games and each.matcher.is_of_games_alone]
        in_record = any(not each.id and name in each.matcher.games for each in known)
        if not (by_id or of_game or in_record):
            missing.append(name)
            continue
        if by_id:
            await desk.end(*by_id)
            kept.remove(by_id[0])
        else:
            kept = [each for each in kept if each not in of_game] + await desk.end_for_game(of_game, name)
            if in_record:
                await desk.end_in_records([name])
        terminal.report(f"{printable(by_id[0].matcher.description if by_id else name)}: no longer silenced")
    if missing:
        terminal.report(f"no silence has this id or names this game alone: {', '.join(map(printable, missing))}")
    return not missing


def _show(silences: Sequence[Silence], *, as_json: bool) -> None:
    if not terminal.people_watch(json_wanted=as_json):
        for each in silences:
            terminal.write_json(_as_document(each))
        return
    table = terminal.table(
        {
            "silence": {"style": "bold"},
            "games": terminal.FOLDS,
            "until": {},
            "who": terminal.FOLDS,
            "why": terminal.FOLDS,
        }
    )
    for each in silences:
        until = end_of_silence(each.ends_at, "%Y-%m-%d %H:%M:%S")
        row = (each.id or "its record", each.matcher.description, until, each.who, each.why)
        table.add_row(*map(printable, row))
    terminal.console_for().print(table if silences else "No game is silenced.")


def _as_document(silence: Silence) -> dict[str, Any]:
    return {"id": silence.id or None, **silence.as_document()}


def _matcher_of(games: Sequence[str], host: str | None, labels: Sequence[str]) -> Matcher | None:
    """Returns the conditions of the command line, or None where there are none. Raises ConfigurationError."""
    if not (games or host or labels):
        return None
    if len(games) > MOST_GAMES:
        raise ConfigurationError(f"{len(games):,} games are too many for one silence: name at most {MOST_GAMES:,}")
    if any(not each or "\0" in each for each in games):
        raise ConfigurationError("a game without an id: leave it out")
    if host is not None and (not host.isprintable() or len(host) > _LONGEST_HOST):
        raise ConfigurationError("--host: write the host of an engine_endpoint, such as 10.0.0.7")
    try:
        conditions = dict(parse_selector(labels))
    except ValueError as error:
        raise ConfigurationError(f"--label {error}") from error
    if len(conditions) < len(labels):
        raise ConfigurationError("--label: one name has two values, and no game has both")
    return Matcher(games=tuple(dict.fromkeys(games)), host=(host or "").strip("[]").lower(), labels=conditions)


def _note(option: str, text: str) -> str:
    if not text.isprintable() or len(text) > LONGEST_NOTE:
        raise ConfigurationError(f"{option}: write one line of at most {LONGEST_NOTE} characters")
    return text


def _this_user() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may have users without a name
        user = "somebody"
    return printable(f"{user}@{socket.gethostname()}")[:LONGEST_NOTE]


def _until(for_: Duration) -> datetime:
    try:
        return min(datetime.now(UTC) + timedelta(seconds=for_), UNTIL_ENDED)
    except OverflowError:
        return UNTIL_ENDED


def silence(
    games: Annotated[
        list[str] | None, typer.Argument(metavar="GAME", help="Ids of games; with --end also of silences.")
    ] = None,
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
    host: Annotated[
        str | None,
        typer.Option(
            "--host", metavar="HOST", envvar="HEALTHPROBE_SILENCE_HOST", help="Only games whose engine is on this host."
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="NAME=VALUE",
            envvar="HEALTHPROBE_SILENCE_LABEL",
            help="Only games with this label; may be repeated.",
        ),
    ] = None,
    reason: Annotated[
        str,
        typer.Option(
            "--reason",
            "--why",
            metavar="TEXT",
            envvar=["HEALTHPROBE_SILENCE_REASON", "HEALTHPROBE_SILENCE_WHY"],
            help="Why; shown with the silence.",
        ),
    ] = "",
    who: Annotated[
        str | None,
        typer.Option(
            "--who",
            metavar="TEXT",
            envvar="HEALTHPROBE_SILENCE_WHO",
            show_default="USER@MACHINE",
            help="Who silences; shown with the silence.",
        ),
    ] = None,
    end: Annotated[
        bool, typer.Option("--end", help="End the silences with these ids, of these games, or with these conditions.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="Show the silences that are in force.")] = False,
    log: options.ReadLog = DEFAULT_DATABASE,
    records: options.ListedRecords = DEFAULT_DATABASE,
    records_query: options.RecordsQuery = None,
    as_json: options.Json = False,
) -> None:
    """Send no alarms of some games for a time; exit 1 if no running game is meant.

    Silenced are the games that meet all conditions: one of the GAMEs, the host,
    each label. They are probed and shown, and their events are written and
    published, but none of them raises an alert or a notification. An incident
    that is open when the silence ends raises it then. A recovery is sent if its
    failure was.

    The silence is kept in the log, and is in force on every instance within two
    seconds. The store of --records is only asked which games it concerns now.

    With --json, or if standard output is not a terminal: one object per line,
    with id, games, host, labels, who, why, created_at and ends_at.

    Example: [b]healthprobe silence --label team=eu --for 2h --reason "new rack"[/b]
    """
    matcher = _matcher_of(games or (), host, label or ())
    if listed and (matcher is not None or for_ is not None or end):
        raise ConfigurationError("--list shows all silences: leave out everything else")
    if not listed and (for_ is None) != end:
        raise ConfigurationError("write how long, as in --for 10m, or --end")
    if not listed and matcher is None:
        raise ConfigurationError("write which games: their ids, --host or --label")
    wanted = None
    if for_ is not None and matcher is not None:
        wanted = Silence(
            id=secrets.token_hex(_ID_BYTES),
            matcher=matcher,
            who=_note("--who", _this_user() if who is None else who),
            why=_note("--reason", reason),
            created_at=datetime.now(UTC),
            ends_at=_until(for_),
        )

    async def work() -> bool:
        async with Adapters(existing=True, logger=configure_logs("error")) as adapters:
            desk = _Desk(adapters, _log_of(await adapters.log(log), log), records, records_query)
            if wanted is not None:
                return await _begin(desk, wanted, records, as_json=as_json)
            if end:
                return await _end(desk, games or (), matcher)
            await desk.list_games()
            _show(await desk.silences(), as_json=as_json)
            return True

    if not uvloop.run(work()):
        raise typer.Exit(errors.BAD)
