"""`healthprobe runtimes`: edits the runtime records of a store."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from healthprobe._util.text import counted, printable
from healthprobe.app import terminal
from healthprobe.app.editable_records import drop_records, put_records, store_at
from healthprobe.app.settings import DEFAULT_DATABASE
from healthprobe.app.url_names import shown
from healthprobe.cli import errors, options
from healthprobe.domain.endpoint import InvalidEndpoint, masked, parse_endpoint
from healthprobe.domain.event import format_instant
from healthprobe.domain.labels import fault_of, parse_selector
from healthprobe.domain.probe.probe_parsing import InvalidSettings, parse_settings
from healthprobe.domain.record import RECORD_FIELDS, RUNNING, RuntimeRecord, end_of_silence
from healthprobe.ports import ConfigurationError

_SECRET = re.compile("auth|cookie|token|secret|password|key", re.IGNORECASE)
_ALWAYS = ("game_id", "current_container_id", "engine_endpoint", "status")


def _refuse_unprobeable(records: Sequence[RuntimeRecord]) -> None:
    for record in records:
        if not record.game_id:
            raise ConfigurationError("a game without an id: write one before its endpoint")
        try:
            parse_endpoint(record.engine_endpoint)
        except InvalidEndpoint as invalid:
            name = masked(record.engine_endpoint)
            raise ConfigurationError(f"{record.game_id}: {name!r} is not an endpoint: {invalid}") from invalid
        try:
            parse_settings(record.probe)
        except InvalidSettings as invalid:
            raise ConfigurationError(f"{record.game_id}: probe settings: {invalid}") from invalid


def _as_document(record: RuntimeRecord) -> dict[str, Any]:
    """Returns the record as in a file, without empty fields."""
    document = {name: value for name in RECORD_FIELDS if (value := getattr(record, name)) or name in _ALWAYS}
    if record.labels:
        document["labels"] = dict(record.labels)
    if record.silenced_until is not None:
        document["silenced_until"] = format_instant(record.silenced_until)
    if record.probe:
        with contextlib.suppress(ValueError, RecursionError):
            document["probe"] = _without_secrets(json.loads(record.probe))
    return document


def _without_secrets(probe: Any) -> Any:
    headers = probe.get("headers") if isinstance(probe, dict) else None
    if not isinstance(headers, dict):
        return probe
    return {**probe, "headers": {name: "***" if _SECRET.search(name) else value for name, value in headers.items()}}


def _probe_of(record: RuntimeRecord) -> str:
    """Returns the settings and the silence in a few words, for the table."""
    now = datetime.now(UTC)
    until = record.silenced_until
    words = [f"silenced until {end_of_silence(until, '%H:%M:%S')}"] if until is not None and now < until else []
    try:
        settings = parse_settings(record.probe)
    except InvalidSettings as invalid:
        return ", ".join([*words, f"invalid: {invalid}"])
    return ", ".join([*words, *([f"{settings.kind} of its own"] if record.probe else [])])


async def _list(url: str) -> list[RuntimeRecord]:
    async with store_at(url, existing=True) as store:
        return await store.list_all()


app = typer.Typer(
    help="Edit the store of runtime records. A run that uses it sees the change at its next tick, and from "
    "[b]nats:[/b]//… immediately.",
    rich_markup_mode="rich",
    epilog="Example: [b]healthprobe runtimes add game-7 http://10.0.0.7:8080 --container c0ffee[/b]",
)

Games = Annotated[list[str], typer.Argument(metavar="GAME...", help="Ids of games.")]


@app.command("add")
def add(
    game: Annotated[str, typer.Argument(metavar="GAME", help="The game's id.")],
    endpoint: Annotated[
        str,
        typer.Argument(metavar="ENDPOINT", help="Its engine: http://HOST:PORT. Probes ask ENDPOINT/healthz."),
    ],
    container: Annotated[
        str,
        typer.Option("--container", metavar="ID", envvar="HEALTHPROBE_CONTAINER", help="The container it runs in."),
    ] = "",
    status: Annotated[
        str,
        typer.Option(
            "--status", metavar="WORD", envvar="HEALTHPROBE_STATUS", help="Only [b]running[/b] games are probed."
        ),
    ] = RUNNING,
    probe: Annotated[
        str,
        typer.Option(
            "--probe",
            metavar="JSON",
            envvar="HEALTHPROBE_PROBE",
            help='How this game is probed, as in {"path": "/ready", "timeout": "500ms"}; see docs/records.md.',
        ),
    ] = "",
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="NAME=VALUE",
            envvar="HEALTHPROBE_LABEL",
            parser=options.parse_label,
            show_default="none",
            help="A label of the game, such as team=eu; may be repeated.",
        ),
    ] = None,
    records: options.EditableRecords = DEFAULT_DATABASE,
) -> None:
    """Add a game, or replace its record."""
    labels = dict(parse_selector(label or ()))
    record = RuntimeRecord(game, container, endpoint, status, probe.strip(), labels=labels)
    _refuse_unprobeable([record])
    if fault := fault_of(record.labels):
        raise ConfigurationError(f"{game}: {fault}")
    put_records(records, [record])


@app.command("remove")
def remove(games: Games, records: options.EditableRecords = DEFAULT_DATABASE) -> None:
    """Remove games; exit 1 if one of them is not in the store. Their events stay in the log."""
    known = drop_records(records, games)
    if unknown := [game_id for game_id in dict.fromkeys(games) if game_id not in known]:
        terminal.report(f"not in {shown(records)}: {', '.join(unknown)}")
        raise typer.Exit(errors.BAD)


@app.command("list")
def list_(records: options.EditableRecords = DEFAULT_DATABASE, as_json: options.Json = False) -> None:
    """Show every record, whatever its status. Credentials in endpoints are shown as ***.

    With --json, or if standard output is not a terminal: one object per line,
    with game_id, current_container_id, engine_endpoint and status, and if set
    probe, silenced_until, silenced_why and labels.
    """
    found = [replace(each, engine_endpoint=masked(each.engine_endpoint)) for each in uvloop.run(_list(records))]
    if not terminal.people_watch(json_wanted=as_json):
        for record in found:
            terminal.write_json(_as_document(record))
        return
    table = terminal.table(
        {
            "game": {**terminal.FOLDS, "style": "bold"},
            "status": {},
            "container": terminal.FOLDS,
            "endpoint": terminal.FOLDS,
            "labels": terminal.FOLDS,
            "probe": terminal.FOLDS,
        }
    )
    for record in found:
        where = (record.current_container_id, record.engine_endpoint)
        labels = ", ".join(f"{name}={value}" for name, value in record.labels.items())
        table.add_row(*map(printable, (record.game_id, record.status, *where, labels, _probe_of(record))))
    terminal.console_for().print(table if found else f"No game in {shown(records)}.")


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="JSON or YAML: a list of runtime records, or Prometheus file_sd groups."),
    ],
    records: options.EditableRecords = DEFAULT_DATABASE,
) -> None:
    """Add or replace all games of a file, or none of them if one cannot be probed."""
    from healthprobe.adapters.file import read_records

    found = read_records(file)
    _refuse_unprobeable(found)
    put_records(records, found)
    terminal.report(f"imported {counted(len(found), 'game')} into {shown(records)}")
