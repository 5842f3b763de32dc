"""The time in which engines were watched, as a run keeps it with the log. Instants are seconds since the epoch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite

from healthprobe.domain.availability import Span, merged
from healthprobe.domain.shard import SHARDS, Slice, shard_of

WATCH = "watch"
"""The kind of the documents: one of each run."""

MOST_SPANS = 1_000
"""How many spans of a part of the fleet are kept, the newest: with less than 100,000 characters they fit a document."""


@dataclass(frozen=True, slots=True)
class WatchedTime:
    """When a run watched its part of the fleet, as in `2/5`, or all of it (""), and the runs whose notes it took over.

    `by_part` has the spans of each part, merged, at most MOST_SPANS in all.
    """

    by_part: Mapping[str, tuple[Span, ...]]

    @property
    def last(self) -> float:
        """When the last span ended, or 0."""
        return max((spans[-1][1] for spans in self.by_part.values() if spans), default=0.0)

    def with_span(self, part: str, span: Span) -> WatchedTime:
        """Returns this with one more span of the part."""
        return together([self, WatchedTime({part: (span,)})])

    def as_document(self) -> str:
        """Returns it as the text of a document, to the tenth of a second."""
        return json.dumps(
            {part: [[round(start, 1), round(end, 1)] for start, end in spans] for part, spans in self.by_part.items()},
            separators=(",", ":"),
        )


NOTHING = WatchedTime({})


def watched_time(document: str) -> WatchedTime:
    """Returns what `as_document` wrote. Raises ValueError for a document that another program altered."""
    try:
        parts = {
            str(part): tuple(merged((float(start), float(end)) for start, end in spans))
            for part, spans in json.loads(document).items()
        }
    except (TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError("it is no time that was watched") from error
    if not all(isfinite(instant) for spans in parts.values() for span in spans for instant in span):
        raise ValueError("an instant is not finite")
    return WatchedTime(parts)


def readable_times(documents: Mapping[str, str]) -> dict[str, WatchedTime]:
    """Returns the documents that can be read, by their keys. What another program altered is left out."""
    found: dict[str, WatchedTime] = {}
    for key, document in documents.items():
        try:
            found[key] = watched_time(document)
        except ValueError:
            continue
    return found


def together(times: Iterable[WatchedTime]) -> WatchedTime:
    """Returns the time in which any of them watched. Of too many spans the newest are kept."""
    spans: dict[str, list[Span]] = {}
    for each in times:
        for part, own in each.by_part.items():
            spans.setdefault(part, []).extend(own)
    kept = {part: tuple(merged(own)) for part, own in spans.items()}
    if sum(map(len, kept.values())) > MOST_SPANS:
        share = max(MOST_SPANS // len(kept), 1)
        kept = {part: own[-share:] for part, own in kept.items()}
    return WatchedTime(kept)


def watched_spans(time: WatchedTime, game_id: str) -> list[Span]:
    """Returns when the game was watched: by runs that watch all games, and by those with its part."""
    shard = shard_of(game_id, SHARDS)
    return merged(span for part, spans in time.by_part.items() if _has(part, shard) for span in spans)


def _has(part: str, shard: int) -> bool:
    if not part:
        return True
    number, _, count = part.partition("/")
    try:
        return shard in Slice(int(number), int(count)).shards
    except ValueError:
        return False
