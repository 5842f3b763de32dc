"""What `status`, `top` and `explain` show alike of a run. Every row of a table is one line."""

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
from healthprobe.web.schemas import Incident, Outcome, Prober, Publisher

_HEIGHTS = "▁▂▃▄▅▆▇█"
_FAILED = "✗"
_UNCLEAR = "?"


def marks(outcomes: Sequence[Outcome], width: int) -> Text:
    """As many of the last as `width` columns hold, the newest at the right."""
    durations = _durations(outcomes)
    least, most = (min(durations), max(durations)) if durations else (0.0, 0.0)
    made = [_mark(each, least, most) for each in outcomes[-width:]]
    line = Text()
    for style, alike in groupby(made, key=itemgetter(1)):
        line.append("".join(mark for mark, _ in alike), style)
    return line


def _mark(outcome: Outcome, least: float, most: float) -> tuple[str, str]:
    """The mark and its style: they differ also where there is no colour."""
    match outcome.outcome:
        case "healthy":
            return _height(outcome.duration_ms or least, least, most), terminal.RECOVERED
        case "inconclusive":
            return _UNCLEAR, terminal.UNCERTAIN
        case _:
            return _FAILED, terminal.FAILED


def marks_told(outcomes: Sequence[Outcome]) -> Text:
    """The same in words: how long healthy answers took, how often it failed and how."""
    told = [counted(len(outcomes), "probe")]
    if durations := _durations(outcomes):
        told.append(f"answered in {median(durations):.3g} ms at the median, {max(durations):.3g} ms at most")
    others = Counter(each.outcome for each in outcomes if each.outcome != "healthy")
    told += [
        f"{_UNCLEAR if kind == 'inconclusive' else _FAILED} {printable(kind)} {count}"
        for kind, count in others.most_common()
    ]
    return Text("; ".join(told) + ". The newest is at the right.", terminal.ASIDE)


def _durations(outcomes: Sequence[Outcome]) -> list[float]:
    return [each.duration_ms for each in outcomes if each.outcome == "healthy" and each.duration_ms is not None]


def _height(duration: float, least: float, most: float) -> str:
    """On a scale of ratios, and so that what hardly differs looks alike: the top is eight times the least, or more."""
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
"""How the bar shows them: different also where there is no colour."""

_LONGEST_SENTENCE = 300

AROUND_OUTAGES = 5
"""Lines of `outages` besides its rows, and one for how many more there are."""


def height_of(console: Console, *shown: RenderableType) -> int:
    """How many lines these take on `console`."""
    return sum(len(console.render_lines(each, pad=False)) for each in shown)


def sentence(told: str, *, is_bad: bool) -> Text:
    """How the fleet stands, for whoever reads no further. A name in it that never ends is cut."""
    return Text(shorten(printable(told), _LONGEST_SENTENCE), terminal.FAILED if is_bad else terminal.RECOVERED)


def counts(games: int, down: int | None, failing: int | None, unknown: int | None, healthy: int | None) -> Text:
    """How many stand how; what nobody is stands back."""
    line = Text(counted(games, "game"))
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
            two_units(each.duration_s, decimals=1),
            terminal.cut_to_fit(each.last_error),
        )
    return shown


def prober(found: Prober, publishers: Sequence[Publisher], now: datetime) -> Table:
    """How the prober itself does: whether it keeps pace, what it has in use, its log, and its publishers."""
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
    for each in publishers:
        shown.add_row("relay", _relay(each))
    return shown


def _named(*standing: int | None) -> list[tuple[str, int]]:
    return [(name, count or 0) for name, count in zip(_STYLES, standing, strict=True)]


def _log(found: Prober) -> Text:
    waiting = f"{counted(found.transitions_waiting, 'transition')} waiting for it"
    if not found.log_away_s:
        return Text(f"answers, {waiting}" if found.transitions_waiting else "answers")
    away = two_units(found.log_away_s, decimals=1)
    return Text(f"away for {away}, {waiting}", terminal.FAILED)


def _relay(publisher: Publisher) -> Text:
    behind = f"{counted(publisher.lag, 'event')} behind" if publisher.lag else "up to date"
    line = Text(f"{printable(publisher.name)} ")
    line.append(behind, terminal.UNCERTAIN if publisher.lag else "")
    if publisher.parked:
        line.append(f", {counted(publisher.parked, 'event')} refused for good", terminal.UNCERTAIN)
    return line
