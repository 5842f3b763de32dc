"""The target: one game as a prober sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from healthprobe.domain.endpoint import Endpoint, InvalidEndpoint, parse_endpoint
from healthprobe.domain.outcome import Failed, FailureKind
from healthprobe.domain.probe_parsing import InvalidSettings, parse_settings
from healthprobe.domain.probe_settings import PLAIN, ProbeSettings
from healthprobe.domain.record import RuntimeRecord


@dataclass(frozen=True, slots=True, eq=False)
class ProbeTarget:
    """What to probe, prepared once per record so that nothing of it is computed per probe.

    Targets are compared by identity: a record that changed gets a new target, and whatever a prober kept for the old
    one (a connection to an engine that is gone) can never answer for the new. `endpoint` is the failure that every
    probe of the game has where its record names no probeable address. `timeout` is in seconds. `settings` are the
    game's own; its port and its timeout, where it has them, are those of `endpoint` and `timeout` already. What
    `is_game` must not be answered for by another one; a canary is none.
    """

    game_id: str
    endpoint: Endpoint | Failed
    timeout: float
    settings: ProbeSettings = PLAIN
    is_game: bool = True


def target_of(record: RuntimeRecord, timeout: float, *, longest: float = inf) -> ProbeTarget:
    """The target of `record`, with the `timeout` of the run where it has none of its own, which is below `longest`.

    Never raises: an endpoint that cannot be probed, or settings that cannot be followed, are a failure of the game
    alone.
    """
    try:
        settings = parse_settings(record.probe)
    except InvalidSettings as invalid:
        return ProbeTarget(record.game_id, _failed(f"invalid probe settings: {invalid}"), timeout)
    if settings.timeout is not None and settings.timeout >= longest:
        told = f"timeout {settings.timeout:g}s is not shorter than the interval of {longest:g}s"
        return ProbeTarget(record.game_id, _failed(f"invalid probe settings: {told}"), timeout, settings)
    try:
        endpoint: Endpoint | Failed = _at_port(parse_endpoint(record.engine_endpoint), settings.port)
    except InvalidEndpoint as invalid:
        endpoint = _failed(f"invalid endpoint: {invalid}")
    return ProbeTarget(record.game_id, endpoint, settings.timeout or timeout, settings)


def _at_port(endpoint: Endpoint, port: int | None) -> Endpoint:
    return endpoint if port is None or endpoint.socket is not None else replace(endpoint, port=port)


def _failed(told: str) -> Failed:
    return Failed(0, told, FailureKind.ENDPOINT)
