"""A canary is probed at exactly its URL. Invalid canaries and networks are refused before anything is probed."""

from __future__ import annotations

import pytest

from healthprobe.app.compose import canary_targets, networks_of
from healthprobe.app.settings import Settings
from healthprobe.domain.endpoint import Endpoint
from healthprobe.ports import ConfigurationError


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://gateway:8443/status", "/status"),
        ("http://gateway", "/"),
        ("http://gateway/", "/"),
        ("http://user:secret@gateway/a/b", "/a/b"),
    ],
)
def test_a_canary_is_probed_at_exactly_its_url(url: str, path: str) -> None:
    (target,) = canary_targets([url], 2.0)
    assert isinstance(target.endpoint, Endpoint)
    assert target.endpoint.prefix == ""
    assert target.settings.path == path
    assert "secret" not in target.game_id


def test_a_canary_that_is_given_twice_is_probed_once() -> None:
    assert len(canary_targets(["http://gateway/a", "http://gateway/a", "http://gateway/b"], 2.0)) == 2


@pytest.mark.parametrize("url", ["gateway", "ftp://gateway", "http://", "http://user:secret@gate way/"])
def test_an_invalid_canary_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--canary .*; write a URL that always answers 200") as refused:
        canary_targets([url], 2.0)
    assert "secret" not in str(refused.value)


def test_the_networks_of_a_run_are_those_of_its_options() -> None:
    networks = networks_of(Settings(allow_networks=("127.0.0.0/8",), deny_networks=("127.9.0.0/16",)))
    assert networks.refusal("127.0.0.1") is None
    assert networks.refusal("127.9.0.1") is not None
    assert networks.refusal("10.0.0.1") is not None
    assert networks_of(Settings()).allow_all


def test_an_invalid_network_is_refused_with_its_option() -> None:
    with pytest.raises(ConfigurationError, match=r"--deny-network: '10\.0\.0\.1/8' has bits beyond its length"):
        networks_of(Settings(deny_networks=("10.0.0.1/8",)))
