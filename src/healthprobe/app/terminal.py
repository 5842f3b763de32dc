"""The terminal: how people see transitions, verdicts, incidents and records. In 80 columns, on dark and on light.

Colours are the terminal's own sixteen, by name, so that every theme decides how red its red is.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from healthprobe._util.text import counted, printable
from healthprobe.domain.event import EventType, HealthEvent, ProbeFailedDetails

FAILED = "bold red"
RECOVERED = "bold green"
UNCERTAIN = "bold yellow"
ASIDE = "dim"

DATED = "%m-%d %H:%M:%S"
"""How a day and a time are shown: the JSON has the year."""

_VERDICT_WIDTH = len("recovered")
_GAME_WIDTH = 18


def people_watch(*, json_wanted: bool) -> bool:
    """Whether standard output is for people: a terminal, and nobody asked for JSON."""
    return not json_wanted and sys.stdout.isatty()


def write_json(document: dict[str, Any]) -> None:
    """One JSON line on standard output, in UTF-8 whatever the locale, flushed so that a reader has it at once."""
    sys.stdout.buffer.write(msgspec.json.encode(document) + b"\n")
    sys.stdout.flush()


def tell(message: str) -> None:
    """One line to whoever ran the command, on standard error: standard output is for data."""
    sys.stderr.write(f"healthprobe: {printable(message)}\n")


def console_for(*, stderr: bool = False) -> Console:
    """A console on standard output, or on standard error. Its width follows the window; NO_COLOR is honoured."""
    return Console(stderr=stderr, highlight=False, emoji=False, markup=False)


def print_line(console: Console, line: Text) -> None:
    """Print `line` on one line of the terminal, cut with an ellipsis where it is too long."""
    console.print(line, no_wrap=True, overflow="ellipsis", crop=True)


def transition_text(event: HealthEvent, *, dated: bool = False) -> Text:
    """One transition in one line, its time local: when, what, which game, why."""
    instant = event.occurred_at.astimezone()
    details = event.details
    if isinstance(details, ProbeFailedDetails):
        why = f"{counted(details.consecutive_failures, 'failure')}: {details.last_error}"
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
    """What happened, in one coloured word and the room after it."""
    word = event_type.value.removeprefix("probe_")
    style = FAILED if event_type is EventType.PROBE_FAILED else RECOVERED
    return Text.assemble((word, style), " " * (_VERDICT_WIDTH - len(word) + 2))


class TransitionLines:
    """Transitions as finished lines, with their ends, for a publisher that writes text to a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __call__(self, event: HealthEvent) -> str:
        with self._console.capture() as captured:
            print_line(self._console, transition_text(event))
        return captured.get()


def table(columns: Mapping[str, Mapping[str, Any]]) -> Table:
    """A table without outer lines, from headings and Rich's options for their columns.

    Columns keep to one line and to their full width; where the window is narrow those give way that may fold, and cells
    made by `cut_to_fit` in a column that says so.
    """
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", border_style=ASIDE)
    for heading, options in columns.items():
        made.add_column(heading, **{"no_wrap": True, **options})
    return made


FOLDS: Mapping[str, Any] = {"no_wrap": False, "overflow": "fold"}
"""Options of a column whose cells may go on in the next line."""

GIVES_WAY: Mapping[str, Any] = {"no_wrap": False}
"""Options of a column of cells made by `cut_to_fit`."""


def cut_to_fit(text: str) -> Text:
    """A cell that is cut with an ellipsis where its column is narrow."""
    return Text(printable(text), no_wrap=True, overflow="ellipsis")
