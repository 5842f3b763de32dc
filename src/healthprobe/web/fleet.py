"""`GET /healthz` and `GET /api/fleet`: the fleet in a sentence and in numbers, and the health of the prober itself."""

from __future__ import annotations

from importlib.metadata import version
from itertools import islice

from starlette.requests import Request
from starlette.responses import Response

from healthprobe._util.duration import milliseconds
from healthprobe._util.text import shorten
from healthprobe.domain.fleet_status import Condition
from healthprobe.status.run_status import RunStatus
from healthprobe.web.responses import json_response, status_of
from healthprobe.web.schemas import Fleet, Health, Outage, Prober, Publisher, SetAside, UnknownGame
from healthprobe.web.silences import silence_document

SET_ASIDE_SHOWN = 100
"""How many games that the log cannot hold are named."""

SILENCES_SHOWN = 100
"""How many silences the fleet's document has."""

UNKNOWN_SHOWN = 100
"""How many games of which nothing is known are named."""

_LONGEST_ERROR = 300
_VERSION = version("healthprobe")


async def get_healthz(request: Request) -> Response:
    """Returns 200 while the prober works, and 503 with the reason while it is stuck.

    It answers everybody, so the words of the log are only for those who may read the rest.
    """
    status = status_of(request)
    trouble = status.trouble if request.state.is_reader else status.public_trouble
    return json_response(Health(trouble is None, trouble), 200 if trouble is None else 503)


async def get_fleet(request: Request) -> Response:
    status = status_of(request)
    await status.refresh()
    return json_response(fleet_document(status))


def fleet_document(status: RunStatus) -> Fleet:
    """Returns the fleet as of the last refresh."""
    outages = status.outages
    diagnosis = status.diagnosis(outages)
    counters = status.counters
    return Fleet(
        at=status.clock(),
        summary=diagnosis.summary,
        scope=diagnosis.scope.value,
        games=len(status.cells),
        down=status.cells.count_of(Condition.DOWN),
        failing=status.cells.count_of(Condition.FAILING),
        unknown=status.cells.count_of(Condition.UNKNOWN),
        healthy=status.cells.count_of(Condition.HEALTHY),
        longest=None if not outages else Outage(outages[0].game_id, outages[0].host, outages[0].seconds),
        prober=_prober(status),
        publishers=[
            Publisher(
                name, counters.lag.get(name, 0), counters.parked.get(name, 0), counters.failing.get(name, (None,))[0]
            )
            for name in sorted({*counters.lag, *counters.parked, *counters.failing})
        ],
        silences=[silence_document(each) for each in status.silences[:SILENCES_SHOWN]],
        unknown_games=[
            UnknownGame(game_id, host, round(seconds, 3), shorten(cause, _LONGEST_ERROR))
            for game_id, host, seconds, cause in status.unknown_games(UNKNOWN_SHOWN)
        ],
    )


def _prober(status: RunStatus) -> Prober:
    config, worker, counters = status.config, status.worker, status.counters
    return Prober(
        version=_VERSION,
        started_at=status.started_at,
        trouble=status.trouble,
        interval_s=config.interval,
        timeout_s=config.probe_timeout,
        failures=config.failures_threshold,
        tick_overdue_s=round(worker.tick_overdue_for, 3),
        log_away_s=round(worker.log_away_for, 3),
        transitions_waiting=len(worker.waiting),
        longest_wait_s=round(worker.longest_wait, 3),
        games_set_aside=len(worker.set_aside),
        set_aside=[
            SetAside(
                each.game_id,
                shorten(each.error, _LONGEST_ERROR),
                None if each.transition is None else each.transition.details.event_type.value,
            )
            for each in islice(worker.set_aside.values(), SET_ASIDE_SHOWN)
        ],
        blind_s=round(worker.blind_for, 3),
        decisions_held=worker.held_decisions,
        games_flapping=worker.flapping_games,
        games_silenced=status.silenced,
        lanes_in_use=worker.lanes_in_use,
        lane_limit=worker.lane_limit,
        connections=status.connections.open_connections,
        connection_limit=status.connections.capacity,
        probes=counters.probes,
        ticks_dropped=counters.dropped_ticks,
        listing_errors=counters.listing_errors,
        inconclusive=dict(counters.inconclusive),
        lateness_ms_p50=milliseconds(counters.lateness.quantile(0.5)),
        lateness_ms_p99=milliseconds(counters.lateness.quantile(0.99)),
        latency_ms_p50=milliseconds(counters.durations.quantile(0.5)),
        latency_ms_p99=milliseconds(counters.durations.quantile(0.99)),
        shards=None if worker.target_set.shards is None else len(worker.target_set.shards),
        instances=None if status.cluster is None else len(status.cluster.instances),
    )
