"""The cautions of a run: its canaries as what is probed, and the networks that may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from healthprobe.domain.endpoint import InvalidEndpoint, masked, parse_endpoint
from healthprobe.domain.networks import InvalidNetwork, Network, Networks, parse_network
from healthprobe.domain.probe_settings import ProbeSettings
from healthprobe.domain.target import ProbeTarget
from healthprobe.ports import ConfigurationError
from healthprobe.surfaces.settings import Settings


def canary_targets(urls: Sequence[str], timeout: float) -> tuple[ProbeTarget, ...]:
    """What is asked at exactly these URLs, within `timeout` seconds. Raises ConfigurationError for what is none."""
    return tuple(_target_of(url, timeout) for url in dict.fromkeys(urls))


def networks_of(settings: Settings) -> Networks:
    """The networks that may be probed. Raises ConfigurationError, by the option, for what is none."""
    found: dict[str, tuple[Network, ...]] = {}
    for option, texts in (("--allow-network", settings.allow_networks), ("--deny-network", settings.deny_networks)):
        try:
            found[option] = tuple(map(parse_network, texts))
        except InvalidNetwork as invalid:
            raise ConfigurationError(f"{option}: {invalid}") from invalid
    return Networks(found["--allow-network"], found["--deny-network"])


def _target_of(url: str, timeout: float) -> ProbeTarget:
    try:
        endpoint = parse_endpoint(url)
    except InvalidEndpoint as invalid:
        raise ConfigurationError(
            f"--canary {masked(url)}: {invalid}; write something that always answers 200, as https://gateway/status"
        ) from invalid
    settings = ProbeSettings(path=endpoint.prefix or "/")
    name = f"canary {endpoint.url}"
    return ProbeTarget(name, replace(endpoint, prefix=""), timeout, settings, is_game=False)
