"""Output for people in a terminal of 80 columns, in its own sixteen colours, and JSON lines for programs.

Rich is imported by what shows something to people: programs that read JSON do not pay for it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from healthprobe._util.text import counted, printable
from healthprobe.domain.event import EventType, HealthEvent, ProbeEndedDetails, ProbeFailedDetails

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

FAILED = "bold red"
RECOVERED = "bold green"
UNCERTAIN = "bold yellow"
ASIDE = "dim"

DATED = "%m-%d %H:%M:%S"
"""The format of a day and a time. The year is in the JSON."""

_VERDICT_WIDTH = len("recovered")
_STYLES = {EventType.PROBE_FAILED: FAILED, EventType.PROBE_RECOVERED: RECOVERED, EventType.PROBE_ENDED: UNCERTAIN}
_GAME_WIDTH = 18


def people_watch(*, json_wanted: bool) -> bool:
    """Returns whether standard output is a terminal and JSON is not requested."""
    return not json_wanted and sys.stdout.isatty()


def write_json(document: dict[str, Any]) -> None:
    """Writes one JSON line to standard output, in UTF-8 whatever the locale, and flushes it."""
    sys.stdout.buffer.write(msgspec.json.encode(document) + b"\n")
    sys.stdout.flush()


def report(message: str) -> None:
    """Writes one line to standard error. Standard output is for data."""
    sys.stderr.write(f"healthprobe: {printable(message)}\n")


def console_for(*, stderr: bool = False) -> Console:
    """Returns a console on standard output or standard error. Its width follows the window; NO_COLOR is honoured."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, emoji=False, markup=False)


def print_line(console: Console, line: Text) -> None:
    """Prints one line, cut with an ellipsis if it is too long."""
    console.print(line, no_wrap=True, overflow="ellipsis", crop=True)


def transition_text(event: HealthEvent, *, dated: bool = False) -> Text:
    """Returns a transition as one line, in local time."""
    from rich.text import Text

    instant = event.occurred_at.astimezone()
    details = event.details
    if isinstance(details, ProbeFailedDetails):
        why = f"{counted(details.consecutive_failures, 'failure')}: {details.last_error}"
    elif isinstance(details, ProbeEndedDetails):
        why = details.reason
    else:
        why = f"after {counted(details.prior_failure_count, 'failure')}"
    return Text.assemble(
        (instant.strftime(DATED if dated else "%H:%M:%S"), ASIDE),
        "  ",
        verdict_text(event.event_type),
        (f"{printable(event.game_id):<{_GAME_WIDTH}}", "bold"),
        "  ",
        printable(why),
    )


def verdict_text(event_type: EventType) -> Text:
    """Returns the type of a transition as one coloured word, padded to the width of its column."""
    from rich.text import Text

    word = event_type.value.removeprefix("probe_")
    style = _STYLES[event_type]
    return Text.assemble((word, style), " " * (_VERDICT_WIDTH - len(word) + 2))


class TransitionLines:
    """Formats events as lines of text for a publisher that writes to a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __call__(self, event: HealthEvent) -> str:
        with self._console.capture() as captured:
            print_line(self._console, transition_text(event))
        return captured.get()


def table(columns: Mapping[str, Mapping[str, Any]]) -> Table:
    """Returns a table without outer lines, from headings and Rich's options for their columns.

    A column is as wide as its widest cell. In a narrow window columns with FOLDS wrap, and columns with GIVES_WAY cut
    their cells.
    """
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", border_style=ASIDE)
    for heading, options in columns.items():
        made.add_column(heading, **{"no_wrap": True, **options})
    return made


FOLDS: Mapping[str, Any] = {"no_wrap": False, "overflow": "fold"}
"""Options of a column whose cells may wrap."""

GIVES_WAY: Mapping[str, Any] = {"no_wrap": False}
"""Options of a column of cells made by `cut_to_fit`."""


def cut_to_fit(text: str) -> Text:
    """Returns a cell that is cut with an ellipsis if its column is too narrow."""
    from rich.text import Text

    return Text(printable(text), no_wrap=True, overflow="ellipsis")
