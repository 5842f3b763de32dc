"""`healthprobe incidents`: open and ended incidents."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from healthprobe._util.duration import two_units
from healthprobe._util.text import printable
from healthprobe.app import terminal
from healthprobe.app.settings import DEFAULT_DATABASE
from healthprobe.cli import options
from healthprobe.cli.events import read_log
from healthprobe.domain.event import ProbeFailedDetails
from healthprobe.domain.incident import Incident
from healthprobe.domain.incident import incidents as incidents_of
from healthprobe.domain.labels import Selector, parse_selector, selects


def read_incidents(url: str, now: datetime, wanted: Selector = ()) -> list[Incident]:
    """Returns the incidents of the log at a URL, open ones first, the longest at `now` first.

    Those of games that had the `wanted` labels when they began.
    """
    read = read_log(url)
    found = [incident for incident in incidents_of(read.events, read.gone) if selects(wanted, incident.labels)]
    found.sort(key=lambda incident: (not incident.is_open, -incident.lasted(now)))
    return found


def _table(found: list[Incident], now: datetime) -> Table:
    shown = terminal.table(
        {
            "game": {**terminal.FOLDS, "style": "bold"},
            "failed": {},
            "lasted": {"justify": "right"},
            "state": {},
            "why": terminal.GIVES_WAY,
        }
    )
    for incident in found:
        details = incident.failed.details
        shown.add_row(
            printable(incident.game_id),
            incident.failed.occurred_at.astimezone().strftime(terminal.DATED),
            two_units(incident.lasted(now).total_seconds(), decimals=1),
            _state(incident),
            terminal.cut_to_fit(details.last_error if isinstance(details, ProbeFailedDetails) else ""),
        )
    return shown


def _none(label: list[str] | None) -> str:
    return f"No incident with {', '.join(label)} in this log." if label else "No incident in this log."


def _state(incident: Incident) -> Text:
    if incident.is_open:
        return Text("open", terminal.FAILED)
    if incident.recovered is None:
        return Text("ended (gone)", terminal.UNCERTAIN)
    return Text("recovered", terminal.RECOVERED)


def incidents(
    log: options.ReadLog = DEFAULT_DATABASE, label: options.Label = None, as_json: options.Json = False
) -> None:
    """Show the incidents of the log, open ones first, the longest first.

    An incident lasts from a game's probe_failed to its probe_recovered, or
    until a run noted that the game was in none of three listings: ended (gone).
    With --json, or if standard output is not a terminal: one object per line,
    with game_id, container_id, open, failed_at, recovered_at and gone_at (null
    if it has not recovered, or was not gone), duration_s, last_status,
    last_error, and labels if the game had any when the incident began.

    Example: [b]healthprobe incidents --log sqlite:healthprobe.db[/b]
    """
    now = datetime.now(UTC)
    found = read_incidents(log, now, parse_selector(label or ()))
    if terminal.people_watch(json_wanted=as_json):
        terminal.console_for().print(_table(found, now) if found else _none(label))
        return
    for incident in found:
        terminal.write_json(incident.as_document(now))
