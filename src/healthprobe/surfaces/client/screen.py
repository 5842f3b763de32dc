"""The screen: what `status` and `top` show alike of a run's documents. Every line of a table is one line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from healthprobe.surfaces import terminal
from healthprobe.surfaces.api.documents import Incident, Prober, Publisher

_STYLES = {
    "down": terminal.FAILED,
    "failing": terminal.UNCERTAIN,
    "unknown": terminal.ASIDE,
    "healthy": terminal.RECOVERED,
}
_BLOCKS = {"down": "█", "failing": "▓", "unknown": "░", "healthy": "━"}
"""How the bar shows them: different also where there is no colour."""

_LONGEST_SENTENCE = 300

AROUND_OUTAGES = 5
"""Lines of `outages` besides its rows, and one for how many more there are."""


def height_of(console: Console, *shown: RenderableType) -> int:
    """How many lines these take on `console`."""
    return sum(len(console.render_lines(each, pad=False)) for each in shown)


def sentence(told: str, *, is_bad: bool) -> Text:
    """How the fleet stands, for whoever reads no further. A name in it that never ends is cut."""
    shown = terminal.printable(told)
    if len(shown) > _LONGEST_SENTENCE:
        shown = shown[: _LONGEST_SENTENCE - 1] + "…"
    return Text(shown, terminal.FAILED if is_bad else terminal.RECOVERED)


def counts(games: int, down: int | None, failing: int | None, unknown: int | None, healthy: int | None) -> Text:
    """How many stand how; what nobody is stands back."""
    line = Text(terminal.counted(games, "game"))
    for name, count in _named(down, failing, unknown, healthy):
        line.append("   ")
        line.append(f"{count:,} {name}", _STYLES[name] if count else terminal.ASIDE)
    return line


def bar(down: int, failing: int, unknown: int, healthy: int, width: int) -> Text:
    """The same as a bar of `width` columns, in which whatever there is has one column at least."""
    standing = [(name, count) for name, count in _named(down, failing, unknown, healthy) if count]
    games, line = sum(count for _, count in standing), Text(no_wrap=True)
    left = width
    for place, (name, count) in enumerate(standing, start=1):
        still_to_come = len(standing) - place
        share = left if not still_to_come else min(max(round(width * count / games), 1), left - still_to_come)
        line.append(_BLOCKS[name] * share, _STYLES[name])
        left -= share
    return line


def outages(incidents: Sequence[Incident]) -> Table:
    """Who is down, since when, for how long and why."""
    shown = terminal.table(
        {
            "down": {**terminal.GIVES_WAY, "style": "bold"},
            "since": {},
            "for": {"justify": "right"},
            "why": terminal.GIVES_WAY,
        }
    )
    for each in incidents:
        shown.add_row(
            terminal.cut_to_fit(each.game_id),
            each.failed_at.astimezone().strftime(terminal.DATED),
            terminal.lasted(timedelta(seconds=each.duration_s)),
            terminal.cut_to_fit(each.last_error),
        )
    return shown


def prober(found: Prober, publishers: Sequence[Publisher], now: datetime) -> Table:
    """How the prober itself does: whether it keeps pace, what it has in use, its log, and its publishers."""
    shown = Table.grid(padding=(0, 2))
    shown.add_column(style=terminal.ASIDE)
    shown.add_column(overflow="fold")
    late = "" if found.lateness_ms_p99 is None else f", probes {found.lateness_ms_p99:g} ms late at p99"
    shown.add_row("prober", Text(f"up {terminal.lasted(now - found.started_at)}, version {found.version}{late}"))
    lanes = f"{found.lanes_in_use:,} of {terminal.counted(found.lane_limit, 'lane')}" if found.lane_limit else "no lane"
    shown.add_row("in use", f"{lanes}, {found.connections:,} of {found.connection_limit:,} connections")
    if found.trouble is not None:
        shown.add_row("trouble", Text(terminal.printable(found.trouble), terminal.FAILED))
    shown.add_row("log", _log(found))
    for each in publishers:
        shown.add_row("relay", _relay(each))
    return shown


def _named(*standing: int | None) -> list[tuple[str, int]]:
    return [(name, count or 0) for name, count in zip(_STYLES, standing, strict=True)]


def _log(found: Prober) -> Text:
    waiting = f"{terminal.counted(found.transitions_waiting, 'transition')} waiting for it"
    if not found.log_away_s:
        return Text(f"answers, {waiting}" if found.transitions_waiting else "answers")
    away = terminal.lasted(timedelta(seconds=found.log_away_s))
    return Text(f"away for {away}, {waiting}", terminal.FAILED)


def _relay(publisher: Publisher) -> Text:
    behind = f"{terminal.counted(publisher.lag, 'event')} behind" if publisher.lag else "up to date"
    line = Text(f"{terminal.printable(publisher.name)} ")
    line.append(behind, terminal.UNCERTAIN if publisher.lag else "")
    if publisher.parked:
        line.append(f", {terminal.counted(publisher.parked, 'event')} refused for good", terminal.UNCERTAIN)
    return line
