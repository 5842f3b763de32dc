"""`healthprobe top`: a run, live."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from healthprobe._util.duration import two_units
from healthprobe._util.text import printable
from healthprobe.app import terminal
from healthprobe.app.run import exit_cleanly_at_once
from healthprobe.cli import output
from healthprobe.cli.api_client import At, RunClient, ServerError, run_client
from healthprobe.domain.event import HealthEvent
from healthprobe.ports import ConfigurationError
from healthprobe.web.schemas import Fleet, Incident

_PERIOD = 1.0
_MOST_ROWS = 100
_AROUND_EVENTS = 2
"""The heading and the empty line of the transitions."""

_FEWEST_ROWS = 2
_SHARE_OF_EVENTS = 3
"""Where incidents and transitions do not fit on the screen, transitions get a third of the rows."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One set of answers of a run."""

    fleet: Fleet
    incidents: list[Incident]
    events: list[HealthEvent]


def drawn(console: Console, at: str, moment: Moment, trouble: str | None) -> RenderableType:
    """Returns all lines of the screen. With `trouble` the run is away and `moment` is its last state."""
    fleet, newest = moment.fleet, moment.events[::-1]
    incidents = [each for each in moment.incidents if each.open]
    head, foot = _head(console, at, fleet, trouble), output.prober(fleet.prober, fleet.publishers, fleet.at)
    room = console.height - output.height_of(console, *head, foot) - _AROUND_EVENTS
    if not incidents:
        return Group(*head, Text(), *_events(newest[: max(room - 1, _FEWEST_ROWS)]), foot)
    room -= output.AROUND_OUTAGES
    rows = min(len(incidents), max(room - min(len(newest), room // _SHARE_OF_EVENTS), _FEWEST_ROWS))
    more = max(fleet.down, len(incidents)) - rows
    return Group(
        *head,
        output.outages(incidents[:rows]),
        *([Text(f"and {more:,} more", terminal.ASIDE)] if more > 0 else []),
        *_events(newest[: max(room - rows, _FEWEST_ROWS)]),
        foot,
    )


def _head(console: Console, at: str, fleet: Fleet, trouble: str | None) -> list[Text]:
    return [
        _one_line(Text(f"healthprobe top   {at}   {fleet.at.astimezone():%H:%M:%S}   Ctrl-C ends it", terminal.ASIDE)),
        *_gone(trouble, fleet),
        output.sentence(fleet.summary, is_bad=output.is_bad(fleet.down, fleet.prober, fleet.unknown)),
        output.bar(fleet.down, fleet.failing, fleet.unknown, fleet.healthy, console.width),
        output.counts(fleet.games, fleet.down, fleet.failing, fleet.unknown, fleet.healthy),
    ]


def _events(newest: Sequence[HealthEvent]) -> list[Text]:
    """Returns the last transitions, the newest first, between a heading and an empty line."""
    if not newest:
        return []
    lines = [_one_line(terminal.transition_text(each, dated=True)) for each in newest]
    return [Text("last transitions", "bold"), *lines, Text()]


def _look(run: RunClient, before: Moment | None = None) -> Moment:
    """Asks the run for everything. Keeps the transitions of `before` if its log is away."""
    fleet, known = run.fleet(), run.incidents(_MOST_ROWS)
    try:
        events = run.events(_MOST_ROWS)
    except ServerError:
        events = before.events if before is not None else []
    return Moment(fleet, known.incidents, events)


def _gone(trouble: str | None, fleet: Fleet) -> list[Text]:
    """Returns two lines if the run does not answer."""
    if trouble is None:
        return []
    ago = two_units((datetime.now(UTC) - fleet.at).total_seconds(), decimals=1)
    return [
        Text(f"No answer for {ago}; the last state is shown below. Retrying every second.", terminal.UNCERTAIN),
        _one_line(Text(printable(trouble), terminal.ASIDE)),
    ]


def _one_line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def top(at: At = None) -> None:
    """Watch a run live, in a terminal: games that are down, transitions, the prober.

    The run must have been started with --listen. The screen is updated once a
    second until Ctrl-C, also after the run was away.

    Example: [b]healthprobe top --at http://prober:8600[/b]
    """
    if not terminal.people_watch(json_wanted=False):
        raise ConfigurationError("top needs a terminal, and standard output is none; use healthprobe status --json")
    run = run_client(at)
    moment, trouble = _look(run), None
    console = terminal.console_for()
    exit_cleanly_at_once()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(drawn(console, run.at, moment, trouble), refresh=True)
            time.sleep(_PERIOD)
            try:
                moment, trouble = _look(run, moment), None
            except ConfigurationError as error:
                trouble = str(error)
