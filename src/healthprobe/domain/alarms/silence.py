"""The silence: holds back the alarms of some games for a time, and never an event."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from healthprobe.domain.event import format_instant
from healthprobe.domain.record import RuntimeRecord, kind_of, parse_silenced_until

SILENCES = "silence"
"""The kind under which a log keeps silences; the key of a silence is its id."""

MOST_GAMES = 1_000
"""How many games one silence may name."""

LONGEST_NOTE = 200
"""How many characters `who` and `why` may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """Which games: those that meet every condition that is given. At least one is.

    A game is one of `games`, its engine is on `host`, and each of `labels` has this value in its record. An empty value
    is that of a label that the record does not have.
    """

    games: tuple[str, ...] = ()
    host: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.games or self.host or self.labels):
            raise ValueError("it matches every game: name games, a host or a label")

    def matches(self, game_id: str, host: str, labels: Mapping[str, str]) -> bool:
        """Returns whether a game is meant.

        >>> Matcher(host="10.0.0.7", labels={"team": "eu"}).matches("chess-1", "10.0.0.7", {"team": "us"})
        False
        """
        return (
            (not self.games or game_id in self.games)
            and (not self.host or host == self.host)
            and all(labels.get(name, "") == value for name, value in self.labels.items())
        )

    @property
    def is_of_games_alone(self) -> bool:
        """Whether it has no condition but the ids of games."""
        return not (self.host or self.labels)

    @property
    def description(self) -> str:
        """The conditions in words.

        >>> Matcher(games=("chess-1", "chess-2"), labels={"team": "eu"}).description
        'chess-1, chess-2 and team=eu'
        """
        conditions = [", ".join(self.games), f"host {self.host}" * bool(self.host)]
        conditions += [f"{name}={value}" for name, value in self.labels.items()]
        return " and ".join(filter(None, conditions))


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Holds back the alarms of the games that `matcher` means, from `created_at` until `ends_at`, both in UTC.

    `who` made it and `why` are notes. A silence of a runtime record (`silenced_until`) has the id "".
    """

    id: str
    matcher: Matcher
    who: str
    why: str
    created_at: datetime | None
    ends_at: datetime

    def as_document(self) -> dict[str, object]:
        """Returns the JSON form, without the id."""
        matcher = self.matcher
        return {
            "games": list(matcher.games),
            "host": matcher.host,
            "labels": dict(matcher.labels),
            "who": self.who,
            "why": self.why,
            "created_at": None if self.created_at is None else format_instant(self.created_at),
            "ends_at": format_instant(self.ends_at),
        }


def silence_from_text(silence_id: str, text: str) -> Silence:
    """Returns the silence whose JSON form is `text`. Raises ValueError with what is wrong with it."""
    try:
        document = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if not isinstance(document, dict):
        raise ValueError(f"it is {kind_of(document)}")  # noqa: TRY004  all that is wrong is one error
    games, labels = document.get("games", []), document.get("labels", {})
    if not isinstance(games, list) or not all(isinstance(each, str) for each in games):
        raise ValueError("its games are no list of texts")
    if not isinstance(labels, dict) or not all(isinstance(each, str) for each in labels.values()):
        raise ValueError("its labels are no mapping of texts")
    host, who, why = (document.get(key, "") for key in ("host", "who", "why"))
    if not (isinstance(host, str) and isinstance(who, str) and isinstance(why, str)):
        raise ValueError("its host, who or why is no text")  # noqa: TRY004
    created_at, ends_at = (parse_silenced_until(document.get(key)) for key in ("created_at", "ends_at"))
    if ends_at is None:
        raise ValueError("it has no end")
    return Silence(
        id=silence_id,
        matcher=Matcher(games=tuple(games), host=host, labels=labels),
        who=who,
        why=why,
        created_at=created_at,
        ends_at=ends_at,
    )


def silence_of_record(record: RuntimeRecord) -> Silence | None:
    """Returns the silence that a runtime record asks for itself, or None."""
    if record.silenced_until is None:
        return None
    matcher = Matcher(games=(record.game_id,))
    return Silence(
        id="", matcher=matcher, who="", why=record.silenced_why, created_at=None, ends_at=record.silenced_until
    )


def silence_of(
    silences: Iterable[Silence], now: datetime, game_id: str, host: str, labels: Mapping[str, str]
) -> Silence | None:
    """Returns the silence that holds back the alarms of a game `now`, of several the one that ends last; or None."""
    found: Silence | None = None
    for each in silences:
        is_longer = now < each.ends_at and (found is None or each.ends_at > found.ends_at)
        if is_longer and each.matcher.matches(game_id, host, labels):
            found = each
    return found


class SilenceIndex:
    """Silences, indexed so that a game is compared with few of them, however many there are."""

    def __init__(self, silences: Iterable[Silence] = ()) -> None:
        self._of_games: dict[str, list[Silence]] = {}
        self._of_hosts: dict[str, list[Silence]] = {}
        self._of_labels: list[Silence] = []
        for each in silences:
            if each.matcher.games:
                for game_id in each.matcher.games:
                    self._of_games.setdefault(game_id, []).append(each)
            elif each.matcher.host:
                self._of_hosts.setdefault(each.matcher.host, []).append(each)
            else:
                self._of_labels.append(each)

    def __bool__(self) -> bool:
        return bool(self._of_games or self._of_hosts or self._of_labels)

    def find(self, now: datetime, game_id: str, host: str, labels: Mapping[str, str]) -> Silence | None:
        """Returns the silence of a game `now`, of several the one that ends last; or None."""
        named, on_host = self._of_games.get(game_id, ()), self._of_hosts.get(host, ())
        return silence_of((*named, *on_host, *self._of_labels), now, game_id, host, labels)
