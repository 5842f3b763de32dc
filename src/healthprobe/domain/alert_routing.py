"""Routes: which alerter gets which alert."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

SEVERITY = "critical"
"""The severity of an alert whose route names none."""


@dataclass(frozen=True, slots=True)
class AlertRoute:
    """Alerts whose labels have all of `match` go to the alerter at the URL `to`, with this severity.

    A route without `match` gets what no other route matches.
    """

    to: str = field(repr=False)
    match: Mapping[str, str] = field(default_factory=dict)
    severity: str = SEVERITY

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Returns whether labels have all of `match`, of which there is some."""
        return bool(self.match) and all(labels.get(name) == value for name, value in self.match.items())


def receivers(routes: Sequence[AlertRoute], labels_of_games: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Returns the URLs that get an alert about games with these labels, each with the severity for it.

    Each game's routes are those that match it, or those without `match` if none does; an alert about several games goes
    to all that one of them would go to. Of several routes to one URL the first counts.

    >>> routes = (AlertRoute("eu:", {"team": "eu"}, "warning"), AlertRoute("all:"))
    >>> receivers(routes, [{"team": "eu"}]), receivers(routes, [{"team": "us"}])
    ({'eu:': 'warning'}, {'all:': 'critical'})
    >>> receivers(routes, [{"team": "eu"}, {}])
    {'eu:': 'warning', 'all:': 'critical'}
    """
    found: dict[str, str] = {}
    seen: list[Mapping[str, str]] = []
    names = {name for route in routes for name in route.match}
    for labels in labels_of_games:
        relevant = {name: value for name, value in labels.items() if name in names}
        if relevant in seen:
            continue
        seen.append(relevant)
        matching = [route for route in routes if route.matches(relevant)]
        for route in matching or [route for route in routes if not route.match]:
            found.setdefault(route.to, route.severity)
    return found
