"""The verdict: compares the log with the oracle, and every consumer with the log."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise, zip_longest

from chaos.consumers import Consumer
from chaos.oracle import Document, ExpectedEvent

Expected = Mapping[str, Sequence[ExpectedEvent]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`lost` counts events that the log or a consumer lacks; `duplicated` those that the log has beyond the oracle's.

    `breaks` counts events that do not continue their game's: the next sequence, the other type. `differences` are
    sentences.
    """

    lost: int
    duplicated: int
    differences: tuple[str, ...]
    breaks: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """`delivered` (each event once) and `repeated` are by consumer; `worst_delivery` is in seconds after a fault ended.

    `injected` is how often there was a fault, where that is counted, and `breaks` how many events do not continue their
    game's: with the next sequence and the other type. `alerts` are those that were told, by receiver; of an alert
    receiver `incidents_open` is how many alerts fired in the end, if it holds, and `worst_alert` the longest time until
    its alerts were right, in seconds. `differences` are sentences; without any the row holds. In a
    `disturbed` one engines took so long to answer, on a busy machine, that the oracle may be wrong about them. A
    `skipped` one could not be run on this machine.
    """

    fault: str
    injected: int = 0
    ticks: int = 0
    expected: int = 0
    in_log: int = 0
    delivered: Mapping[str, int] = field(default_factory=dict)
    repeated: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0
    duplicated: int = 0
    breaks: int = 0
    worst_delivery: float = 0.0
    alerts: Mapping[str, int] = field(default_factory=dict)
    incidents_open: int | None = None
    worst_alert: float = 0.0
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    disturbed: bool = False
    skipped: bool = False

    @property
    def holds(self) -> bool:
        return not self.differences

    def without_repeats(self) -> Row:
        """Returns the row with a difference for each consumer that got any event repeatedly."""
        repeats = [f"{name}: {count:,} repeated deliveries" for name, count in self.repeated.items() if count]
        return replace(self, differences=(*self.differences, *repeats))


def judged(
    expected: Expected, before: Mapping[str, int], log: Sequence[Document], consumers: Sequence[Consumer]
) -> Verdict:
    """Compares what came after the first events of the log; `before` has how many each game had by then."""
    by_game = _by_game(log)
    lost = duplicated = 0
    differences = [*_differences_of_ids(log)]
    for game_id in sorted(expected.keys() | by_game.keys()):
        events = by_game.get(game_id, [])[before.get(game_id, 0) :]
        due = expected.get(game_id, ())
        lost += max(len(due) - len(events), 0)
        duplicated += max(len(events) - len(due), 0)
        differences.extend(_differences_of_game(game_id, due, events))
    ids = {event["id"] for event in log}
    for consumer in consumers:
        lost += len(ids - consumer.arrived.keys())
        differences.extend(_differences_of_consumer(consumer, by_game))
    return Verdict(lost, duplicated, tuple(differences), breaks_of(log, before))


_FAILED = "probe_failed"


def breaks_of(log: Sequence[Document], before: Mapping[str, int] | None = None) -> int:
    """Counts events that do not continue their game's, after the first ones of each game, as many as `before` says."""
    breaks = 0
    for game_id, events in _by_game(log).items():
        chain = [(0, "probe_recovered"), *((event["sequence"], event["event_type"]) for event in events)]
        judged_before = 0 if before is None else before.get(game_id, 0)
        for (last, last_type), (sequence, event_type) in islice(pairwise(chain), judged_before, None):
            breaks += sequence != last + 1 or (event_type == _FAILED) == (last_type == _FAILED)
    return breaks


def _differences_of_ids(log: Sequence[Document]) -> list[str]:
    """Checks that each id is the game and the place among its events, from 1 without a gap. So no id comes twice."""
    numbers: Counter[str] = Counter()
    differences = []
    for event in log:
        numbers[event["game_id"]] += 1
        place = numbers[event["game_id"]]
        if (event["id"], event["sequence"]) != (f"{event['game_id']}:{place}", place):
            differences.append(f"log: {event['id']} stands where {event['game_id']}:{place} belongs")
    return differences


def _differences_of_game(game_id: str, due: Sequence[ExpectedEvent], events: Sequence[Document]) -> list[str]:
    differences = []
    for each, event in zip_longest(due, events):
        if each is None:
            differences.append(f"log: {_summary(event)} but the engine of {game_id} did not change")
        elif event is None:
            differences.append(f"log: a {each.event_type} of {game_id} is missing, last status {each.last_status}")
        elif (difference := each.difference(event)) is not None:
            differences.append(f"log: {_summary(event)} {difference}")
    return differences


def _differences_of_consumer(consumer: Consumer, by_game: Mapping[str, Sequence[Document]]) -> list[str]:
    """Checks that a consumer, after dropping repeated ids, has all events, each game's in order."""
    differences = []
    received = _by_game(consumer.arrived.values())
    for game_id in sorted(received.keys() | by_game.keys()):
        for event, stands in zip_longest(received.get(game_id, ()), by_game.get(game_id, ())):
            if event is None:
                differences.append(f"{consumer.name}: {_summary(stands)} was not delivered")
            elif event != stands:
                place = "nothing" if stands is None else _summary(stands)
                differences.append(f"{consumer.name}: got {_summary(event)} where the log has {place}")
    return differences


def _by_game(events: Iterable[Document]) -> dict[str, list[Document]]:
    by_game: dict[str, list[Document]] = defaultdict(list)
    for event in events:
        by_game[event["game_id"]].append(event)
    return dict(by_game)


def _summary(event: Document) -> str:
    return f"{event['id']} ({event['event_type']} at {event['occurred_at']}, {event['details']})"
