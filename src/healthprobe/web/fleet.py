"""The fleet: in a sentence and in numbers, and how the prober itself does."""

from __future__ import annotations

from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import Response

from healthprobe._util.duration import milliseconds
from healthprobe.domain.fleet_status import Condition
from healthprobe.status.run_status import RunStatus
from healthprobe.web.responses import answer
from healthprobe.web.schemas import Fleet, Health, Outage, Prober, Publisher

_VERSION = version("healthprobe")


class FleetAnswers:
    """`GET /healthz` and `GET /api/fleet`."""

    def __init__(self, sight: RunStatus) -> None:
        self._sight = sight

    async def healthz(self, _: Request) -> Response:
        """200 while the prober is well, 503 with the reason while it is stuck: something must watch the watcher."""
        trouble = self._sight.trouble
        return answer(Health(trouble is None, trouble), 200 if trouble is None else 503)

    async def fleet(self, _: Request) -> Response:
        await self._sight.refresh()
        return answer(fleet_document(self._sight))


def fleet_document(sight: RunStatus) -> Fleet:
    """The fleet as it was at the last refresh."""
    outages = sight.outages
    told = sight.diagnosis(outages)
    return Fleet(
        at=sight.clock(),
        told=told.summary,
        scope=told.scope.value,
        games=len(sight.cells),
        down=sight.count_of(Condition.DOWN),
        failing=sight.count_of(Condition.FAILING),
        unknown=sight.count_of(Condition.UNKNOWN),
        healthy=sight.count_of(Condition.HEALTHY),
        longest=None if not outages else Outage(outages[0].game_id, outages[0].host, outages[0].seconds),
        prober=_prober(sight),
        publishers=[
            Publisher(name, sight.tally.lag.get(name, 0), sight.tally.parked.get(name, 0))
            for name in sorted({*sight.tally.lag, *sight.tally.parked})
        ],
    )


def _prober(sight: RunStatus) -> Prober:
    config, view, tally = sight.config, sight.view, sight.tally
    return Prober(
        version=_VERSION,
        started_at=sight.started_at,
        trouble=sight.trouble,
        interval_s=config.interval,
        timeout_s=config.probe_timeout,
        failures=config.failures_threshold,
        tick_overdue_s=round(view.tick_overdue_for, 3),
        log_away_s=round(view.log_away_for, 3),
        transitions_waiting=len(view.waiting),
        blind_s=round(view.blind_for, 3),
        decisions_held=view.held_decisions,
        games_flapping=view.flapping_games,
        games_silenced=sight.silenced,
        lanes_in_use=view.lanes_in_use,
        lane_limit=view.lane_limit,
        connections=sight.connections.open_connections,
        connection_limit=sight.connections.capacity,
        probes=tally.probes,
        ticks_dropped=tally.dropped_ticks,
        listing_errors=tally.listing_errors,
        inconclusive=dict(tally.inconclusive),
        lateness_ms_p50=milliseconds(tally.lateness.quantile(0.5)),
        lateness_ms_p99=milliseconds(tally.lateness.quantile(0.99)),
        latency_ms_p50=milliseconds(tally.durations.quantile(0.5)),
        latency_ms_p99=milliseconds(tally.durations.quantile(0.99)),
        shards=None if view.target_set.shards is None else len(view.target_set.shards),
        instances=None if sight.cluster is None else len(sight.cluster.instances),
    )
