"""The target of a probe: a record, parsed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from healthprobe.domain.endpoint import Endpoint, InvalidEndpoint, parse_endpoint
from healthprobe.domain.outcome import Failed, FailureKind
from healthprobe.domain.probe.probe_parsing import InvalidSettings, parse_settings
from healthprobe.domain.probe.probe_settings import PLAIN, ProbeSettings
from healthprobe.domain.record import RuntimeRecord


@dataclass(frozen=True, slots=True, eq=False)
class ProbeTarget:
    """A game or canary to probe, prepared once per record so that a probe computes nothing of it.

    Targets compare by identity: a record that changed gets a new target, and what a prober kept for the old one, such
    as a connection to an engine that is gone, never answers for the new one. `endpoint` is the failure of every probe
    if the record has no valid endpoint. `timeout` is in seconds. `endpoint` and `timeout` already include the port and
    timeout of `settings`. The identity header of an answer is verified only if `is_game`; a canary has none.
    """

    game_id: str
    endpoint: Endpoint | Failed
    timeout: float
    settings: ProbeSettings = PLAIN
    is_game: bool = True


def parse_target(
    record: RuntimeRecord, timeout: float, *, longest: float = inf, defaults: ProbeSettings = PLAIN
) -> ProbeTarget:
    """Returns the target of `record`; `timeout` is the run's, and the record's own must be shorter than `longest`.

    `defaults` are the settings that a record has which does not say otherwise.
    Never raises: an invalid endpoint or invalid settings make the probes of this game fail, and no others.
    """
    try:
        settings = parse_settings(record.probe, defaults)
    except InvalidSettings as invalid:
        return ProbeTarget(record.game_id, _failed(f"invalid probe settings: {invalid}"), timeout)
    if settings.timeout is not None and settings.timeout >= longest:
        why = f"timeout {settings.timeout:g}s is not shorter than the interval of {longest:g}s"
        return ProbeTarget(record.game_id, _failed(f"invalid probe settings: {why}"), timeout, settings)
    endpoint: Endpoint | Failed
    try:
        endpoint = parse_endpoint(record.engine_endpoint)
        if settings.port is not None and endpoint.socket is None:
            endpoint = replace(endpoint, port=settings.port)
    except InvalidEndpoint as invalid:
        endpoint = _failed(f"invalid endpoint: {invalid}")
    return ProbeTarget(record.game_id, endpoint, settings.timeout or timeout, settings)


def _failed(error: str) -> Failed:
    return Failed(0, error, FailureKind.ENDPOINT)
