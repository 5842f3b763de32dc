"""Output that `status`, `top` and `explain` share. Every row of a table is one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from math import log
from operator import itemgetter
from statistics import median

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from healthprobe._util.duration import two_units
from healthprobe._util.text import counted, printable, shorten
from healthprobe.app import terminal
from healthprobe.web.schemas import Incident, Outcome, Prober, Publisher, SetAside

_HEIGHTS = "▁▂▃▄▅▆▇█"
_FAILED = "✗"
_UNCLEAR = "?"


def marks(outcomes: Sequence[Outcome], width: int) -> Text:
    """Returns a line of marks, one per outcome, the newest at the right. It shows the last `width` outcomes."""
    durations = _durations(outcomes)
    least, most = (min(durations), max(durations)) if durations else (0.0, 0.0)
    made = [_mark(each, least, most) for each in outcomes[-width:]]
    line = Text()
    for style, alike in groupby(made, key=itemgetter(1)):
        line.append("".join(mark for mark, _ in alike), style)
    return line


def _mark(outcome: Outcome, least: float, most: float) -> tuple[str, str]:
    match outcome.outcome:
        case "healthy":
            return _height(outcome.duration_ms or least, least, most), terminal.RECOVERED
        case "inconclusive":
            return _UNCLEAR, terminal.UNCERTAIN
        case _:
            return _FAILED, terminal.FAILED


def marks_summary(outcomes: Sequence[Outcome]) -> Text:
    """Returns the response times and the failures of the outcomes in words."""
    parts = [counted(len(outcomes), "probe")]
    if durations := _durations(outcomes):
        parts.append(f"answered in {median(durations):.3g} ms at the median, {max(durations):.3g} ms at most")
    others = Counter(each.outcome for each in outcomes if each.outcome != "healthy")
    parts += [
        f"{_UNCLEAR if kind == 'inconclusive' else _FAILED} {printable(kind)} {count}"
        for kind, count in others.most_common()
    ]
    return Text("; ".join(parts) + ". The newest is at the right.", terminal.ASIDE)


def _durations(outcomes: Sequence[Outcome]) -> list[float]:
    return [each.duration_ms for each in outcomes if each.outcome == "healthy" and each.duration_ms is not None]


def _height(duration: float, least: float, most: float) -> str:
    """Returns a bar on a logarithmic scale whose top is the longest duration, or eight times the shortest."""
    if duration <= least or least <= 0:
        return _HEIGHTS[0]
    share = log(duration / least) / log(max(most / least, 8.0))
    return _HEIGHTS[min(round(share * (len(_HEIGHTS) - 1)), len(_HEIGHTS) - 1)]


_STYLES = {
    "down": terminal.FAILED,
    "failing": terminal.UNCERTAIN,
    "unknown": terminal.ASIDE,
    "healthy": terminal.RECOVERED,
}
_BLOCKS = {"down": "█", "failing": "▓", "unknown": "░", "healthy": "━"}
"""Characters that differ without colour too."""

_MOST_SET_ASIDE = 3

_LONGEST_SENTENCE = 300

AROUND_OUTAGES = 5
"""The lines of `outages` other than its rows, and one line for the number of rows left out."""


def height_of(console: Console, *shown: RenderableType) -> int:
    """Returns how many lines these take on a console."""
    return sum(len(console.render_lines(each, pad=False)) for each in shown)


def is_bad(down: int, found: Prober | None, unknown: int | None = None) -> bool:
    """Whether a game is down, or nothing is known of one, or one is set aside, or the prober is in trouble."""
    return bool(down or unknown) or (found is not None and (found.trouble is not None or found.games_set_aside > 0))


def sentence(text: str, *, is_bad: bool) -> Text:
    """Returns the state of the fleet in one coloured sentence."""
    return Text(shorten(printable(text), _LONGEST_SENTENCE), terminal.FAILED if is_bad else terminal.RECOVERED)


def counts(games: int, down: int | None, failing: int | None, unknown: int | None, healthy: int | None) -> Text:
    """Returns the number of games in each state, zeros dimmed."""
    line = Text(counted(games, "game"))
    for name, count in _named(down, failing, unknown, healthy):
        line.append("   ")
        line.append(f"{count:,} {name}", _STYLES[name] if count else terminal.ASIDE)
    return line


def bar(down: int, failing: int, unknown: int, healthy: int, width: int) -> Text:
    """Returns the same as a bar of `width` columns, with at least one column for each state that occurs."""
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
    """Returns the table of games that are down."""
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
            two_units(each.duration_s, decimals=1),
            terminal.cut_to_fit(each.last_error),
        )
    return shown


def prober(found: Prober, publishers: Sequence[Publisher], now: datetime) -> Table:
    """Returns a table of the state of the prober, its log and its publishers."""
    shown = Table.grid(padding=(0, 2))
    shown.add_column(style=terminal.ASIDE)
    shown.add_column(overflow="fold")
    late = "" if found.lateness_ms_p99 is None else f", probes {found.lateness_ms_p99:g} ms late at p99"
    shown.add_row(
        "prober",
        Text(f"up {two_units((now - found.started_at).total_seconds(), decimals=1)}, version {found.version}{late}"),
    )
    lanes = f"{found.lanes_in_use:,} of {counted(found.lane_limit, 'lane')}" if found.lane_limit else "no lane"
    shown.add_row("in use", f"{lanes}, {found.connections:,} of {found.connection_limit:,} connections")
    if found.trouble is not None:
        shown.add_row("trouble", Text(printable(found.trouble), terminal.FAILED))
    shown.add_row("log", _log(found))
    for game in found.set_aside[:_MOST_SET_ASIDE]:
        shown.add_row("set aside", _set_aside(game))
    if (more := found.games_set_aside - _MOST_SET_ASIDE) > 0:
        shown.add_row("", f"and {more:,} more that the log cannot hold: --json, or the page")
    for each in publishers:
        shown.add_row("relay", _relay(each))
    return shown


def _named(*standing: int | None) -> list[tuple[str, int]]:
    return [(name, count or 0) for name, count in zip(_STYLES, standing, strict=True)]


def _log(found: Prober) -> Text:
    waiting = f"{counted(found.transitions_waiting, 'transition')} waiting for it"
    if found.longest_wait_s >= 1:
        waiting += f", the first for {two_units(found.longest_wait_s, decimals=1)}"
    if not found.log_away_s:
        return Text(f"answers, {waiting}" if found.transitions_waiting else "answers")
    away = two_units(found.log_away_s, decimals=1)
    return Text(f"away for {away}, {waiting}", terminal.FAILED)


def _set_aside(game: SetAside) -> Text:
    what = "" if game.event_type is None else f" {game.event_type}"
    return Text(f"{printable(game.game_id)}{what}: {printable(game.error)}", terminal.FAILED)


def _relay(publisher: Publisher) -> Text:
    behind = f"{counted(publisher.lag, 'event')} behind" if publisher.lag else "up to date"
    line = Text(f"{printable(publisher.name)} ")
    line.append(behind, terminal.UNCERTAIN if publisher.lag else "")
    if publisher.parked:
        line.append(f", {counted(publisher.parked, 'event')} refused for good", terminal.UNCERTAIN)
    if publisher.error is not None:
        line.append(f", delivery failing: {printable(publisher.error)}", terminal.FAILED)
    return line
