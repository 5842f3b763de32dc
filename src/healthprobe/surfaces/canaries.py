"""The canaries of a run: each URL as what is probed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from healthprobe.domain.endpoint import InvalidEndpoint, masked, parse_endpoint
from healthprobe.domain.probe_settings import ProbeSettings
from healthprobe.domain.target import ProbeTarget
from healthprobe.ports import ConfigurationError


def canary_targets(urls: Sequence[str], timeout: float) -> tuple[ProbeTarget, ...]:
    """What is asked at exactly these URLs, within `timeout` seconds. Raises ConfigurationError for what is none."""
    return tuple(_target_of(url, timeout) for url in dict.fromkeys(urls))


def _target_of(url: str, timeout: float) -> ProbeTarget:
    try:
        endpoint = parse_endpoint(url)
    except InvalidEndpoint as invalid:
        raise ConfigurationError(
            f"--canary {masked(url)}: {invalid}; write something that always answers 200, as https://gateway/status"
        ) from invalid
    settings = ProbeSettings(path=endpoint.prefix or "/")
    return ProbeTarget(f"canary {endpoint.url}", replace(endpoint, prefix=""), timeout, settings)
