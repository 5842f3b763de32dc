"""Routing: which alerter gets which alert, and with which severity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from healthprobe.domain.alarms.alert import AlertRoute


def receivers(routes: Sequence[AlertRoute], labels_of_games: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Returns the URLs that get an alert about games with these labels, each with the severity for it.

    A game's routes are those that match it, or those without `match` if none does; an alert about several games goes
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
        matching = [route for route in routes if route.match and route.match.items() <= relevant.items()]
        for route in matching or [route for route in routes if not route.match]:
            found.setdefault(route.url, route.severity)
    return found
