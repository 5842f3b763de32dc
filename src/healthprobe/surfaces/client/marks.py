"""Marks: the last outcomes of a game, a mark each, as high as it took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log
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
    line = Text()
    for each in outcomes[-width:]:
        if each.outcome == "healthy":
            line.append(_height(each.duration_ms or least, least, most), terminal.RECOVERED)
        elif each.outcome == "inconclusive":
            line.append(_UNCLEAR, terminal.UNCERTAIN)
        else:
            line.append(_FAILED, terminal.FAILED)
    return line


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
