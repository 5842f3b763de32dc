"""`healthprobe report`: the availability of the games that had incidents."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from healthprobe._util.duration import Duration, parse_retention, two_units
from healthprobe._util.text import printable
from healthprobe.app import terminal
from healthprobe.app.settings import DEFAULT_DATABASE
from healthprobe.cli import options
from healthprobe.cli.events import read_log
from healthprobe.domain.availability import Availability, Span, availability
from healthprobe.domain.incident import Incident, incidents
from healthprobe.domain.watch import WatchedTime, watched_spans
from healthprobe.ports import ConfigurationError

_DAY = 86_400.0
_DEFAULT_SINCE = Duration(30 * _DAY)


@dataclass(frozen=True, slots=True)
class Row:
    """The availability of one game, of a group of games, or of all that had incidents. `games` counts them."""

    kind: str
    name: str
    games: int
    figures: Availability

    def as_document(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "games": self.games, **self.figures.as_document()}


def rows_of(found: Iterable[Incident], watched: WatchedTime, window: Span, by: str | None = None) -> list[Row]:
    """Returns a row of each game that had an incident in `window`, the longest down first, and of all together.

    With `by` one of each value of that label comes between them: games without it are in the group "".
    """
    of_game: dict[str, list[Incident]] = {}
    for incident in found:
        of_game.setdefault(incident.game_id, []).append(incident)
    games: list[tuple[Row, str]] = []
    for game_id, own in of_game.items():
        figures = availability(own, watched_spans(watched, game_id), window)
        if figures.incidents:
            games.append((Row("game", game_id, 1, figures), _label(own[-1], by)))
    games.sort(key=lambda each: (-each[0].figures.down_s, each[0].name))
    groups: dict[str, list[Row]] = {}
    for row, value in games if by is not None else ():
        groups.setdefault(value, []).append(row)
    sums = [_sum("group", value, rows) for value, rows in sorted(groups.items())]
    rows = [row for row, _ in games]
    return [*rows, *sums, _sum("all", "", rows)] if rows else []


def _sum(kind: str, name: str, rows: Sequence[Row]) -> Row:
    figures = Availability()
    for row in rows:
        figures += row.figures
    return Row(kind, name, len(rows), figures)


def _label(incident: Incident, by: str | None) -> str:
    return "" if by is None else incident.failed.labels.get(by, "")


def _print(rows: Sequence[Row], since: Duration) -> None:
    console = terminal.console_for()
    if not rows:
        console.print(f"No game had an incident in the last {two_units(since)}.")
        return
    table = terminal.table(
        {
            "game": {**terminal.FOLDS, "style": "bold"},
            **{
                heading: {"justify": "right"}
                for heading in ("incidents", "down", "longest", "MTTR", "MTBF", "available", "unwatched")
            },
        }
    )
    for row in rows:
        figures = row.figures
        table.add_row(
            _name(row),
            f"{figures.incidents:,}",
            two_units(figures.down_s),
            two_units(figures.longest_s),
            _duration(figures.mttr_s),
            _duration(figures.mtbf_s),
            "-" if figures.percent is None else f"{_floor(figures.percent):.3f}%",
            f"{figures.unwatched_percent:.1f}%",
            style="" if row.kind == "game" else "bold",
        )
    console.print(table)


def _name(row: Row) -> Text:
    if row.kind == "game":
        return Text(printable(row.name))
    if row.kind == "group":
        return Text(f"{printable(row.name) or '(no label)'}: {row.games:,} of these")
    return Text(f"all {row.games:,} of these")


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else two_units(seconds)


def _floor(percent: float) -> float:
    """Returns a share that is never shown as more than it is: 99.9996 is not 100.000."""
    return int(percent * 1000) / 1000


def _write_csv(rows: Sequence[Row]) -> None:
    columns = list(Row("all", "", 0, Availability()).as_document())
    writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.as_document() for row in rows)


def _parse_since(text: str | Duration) -> Duration:
    """Returns how far back to look. Raises ValueError."""
    if isinstance(text, Duration):
        return text
    since = parse_retention(text)
    if since is None:
        raise ValueError(f"{text!r} is no time to look back: write one such as 30d or 12h")
    return since


def report(
    log: options.ReadLog = DEFAULT_DATABASE,
    since: Annotated[
        Duration,
        typer.Option(
            "--since",
            metavar="DURATION",
            envvar="HEALTHPROBE_SINCE",
            parser=_parse_since,
            show_default="30d",
            help="How far back to look, as in 30d or 12h.",
        ),
    ] = _DEFAULT_SINCE,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="LABEL", envvar="HEALTHPROBE_BY", help="Add up the games by this label."),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", envvar="HEALTHPROBE_CSV", help="Write CSV with a heading.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show how long the games that had incidents were down, and their availability.

    Availability is the time up of the time up and down. A game is down in its
    incidents, and up where a run watched it outside of them. What is left,
    when no run watched or the game was gone, is kept apart and never counts as
    up. Games without an incident are not in the log, and not shown.

    With --json, or if standard output is not a terminal: one object per line,
    with kind (game, group or all), name, games, incidents, down_s, longest_s,
    mttr_s and mtbf_s, availability_percent, up_s, unwatched_s and
    unwatched_percent. MTTR is the mean length of incidents that recovered, MTBF
    the time up per failure; null where nothing recovered or failed.

    Example: [b]healthprobe report --since 7d --csv[/b]
    """
    if as_csv and as_json:
        raise ConfigurationError("--csv and --json are two forms: leave one of them out")
    now = datetime.now(UTC).timestamp()
    found = read_log(log)
    rows = rows_of(incidents(found.events, found.gone), found.watched, (now - since, now), by)
    if as_csv:
        _write_csv(rows)
    elif terminal.people_watch(json_wanted=as_json):
        _print(rows, since)
    else:
        for row in rows:
            terminal.write_json(row.as_document())
