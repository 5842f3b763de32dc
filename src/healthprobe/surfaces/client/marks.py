"""Marks: the last outcomes of a game, a mark each, as high as it took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from math import log
from operator import itemgetter
from statistics import median

from rich.text import Text

from healthprobe.surfaces import terminal
from healthprobe.surfaces.api.documents import Outcome

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
    told = [terminal.counted(len(outcomes), "probe")]
    if durations := _durations(outcomes):
        told.append(f"answered in {median(durations):.3g} ms at the median, {max(durations):.3g} ms at most")
    others = Counter(each.outcome for each in outcomes if each.outcome != "healthy")
    told += [
        f"{_UNCLEAR if kind == 'inconclusive' else _FAILED} {terminal.printable(kind)} {count}"
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
