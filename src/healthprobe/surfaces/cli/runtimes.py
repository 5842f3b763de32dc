"""`healthprobe runtimes`: the embedded store, or one on a server, edited while `run` runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from healthprobe.domain.record import RUNNING
from healthprobe.surfaces.cli import errors, options
from healthprobe.surfaces.settings import DEFAULT_DATABASE

app = typer.Typer(
    help="Edit the embedded store of runtime records, or one on a server. A run that uses it takes the change over at "
    "its next tick, and from [b]nats:[/b]//… at once.",
    rich_markup_mode="rich",
    epilog="Example: [b]healthprobe runtimes add game-7 http://10.0.0.7:8080 --container c0ffee[/b]",
)

Games = Annotated[list[str], typer.Argument(metavar="GAME...", help="Ids of games.")]


@app.command("add")
def add(
    game: Annotated[str, typer.Argument(metavar="GAME", help="The game's id.")],
    endpoint: Annotated[
        str, typer.Argument(metavar="ENDPOINT", help="Its engine, as http://HOST:PORT; asked at ENDPOINT/healthz.")
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
            help='How this game is asked, as in {"path": "/ready", "timeout": "500ms"}; see docs/records.md.',
        ),
    ] = "",
    records: options.EditableRecords = DEFAULT_DATABASE,
) -> None:
    """Add a game, or replace what is known of it. An endpoint that cannot be probed is refused with the reason."""
    from healthprobe.surfaces.recording import add_record

    add_record(records, game, endpoint, container=container, status=status, probe=probe)


@app.command("remove")
def remove(games: Games, records: options.EditableRecords = DEFAULT_DATABASE) -> None:
    """Remove games; exit 1 if one of them was not there. Their events stay in the log."""
    from healthprobe.surfaces.recording import remove_records

    if not remove_records(records, games):
        raise typer.Exit(errors.BAD)


@app.command("list")
def list_(records: options.EditableRecords = DEFAULT_DATABASE, as_json: options.Json = False) -> None:
    """Show every record, of whatever status. Credentials in endpoints show as ***.

    With --json, or where standard output is not a terminal: one object a line,
    with game_id, current_container_id, engine_endpoint and status, and where
    there are any probe, silenced_until and silenced_why.
    """
    from healthprobe.surfaces.recording import show_records

    show_records(records, as_json=as_json)


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="JSON or YAML: a list of runtime records, or Prometheus file_sd groups."),
    ],
    records: options.EditableRecords = DEFAULT_DATABASE,
) -> None:
    """Add or replace all games of a file, or none of them where one endpoint cannot be probed."""
    from healthprobe.surfaces.recording import import_records

    import_records(records, file)
