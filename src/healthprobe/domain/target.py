"""The target: one game as a prober sees it."""

from __future__ import annotations

from dataclasses import dataclass

from healthprobe.domain.endpoint import Endpoint, InvalidEndpoint, parse_endpoint
from healthprobe.domain.outcome import Failed, FailureKind
from healthprobe.domain.probe_settings import PLAIN, ProbeSettings
from healthprobe.domain.record import RuntimeRecord


@dataclass(frozen=True, slots=True, eq=False)
class ProbeTarget:
    """What to probe, prepared once per record so that nothing of it is computed per probe.

    Targets are compared by identity: a record that changed gets a new target, and whatever a prober kept for the old
    one (a connection to an engine that is gone) can never answer for the new. `endpoint` is the failure that every
    probe of the game has where its record names no probeable address. `timeout` is in seconds. `settings` are the
    game's own; its port and its timeout, where it has them, are those of `endpoint` and `timeout` already.
    """

    game_id: str
    endpoint: Endpoint | Failed
    timeout: float
    settings: ProbeSettings = PLAIN


def target_of(record: RuntimeRecord, timeout: float) -> ProbeTarget:
    """The target of `record`. Never raises: an endpoint that cannot be probed is a failure of its game alone."""
    try:
        endpoint: Endpoint | Failed = parse_endpoint(record.engine_endpoint)
    except InvalidEndpoint as invalid:
        endpoint = Failed(0, f"invalid endpoint: {invalid}", FailureKind.ENDPOINT)
    return ProbeTarget(record.game_id, endpoint, timeout)
