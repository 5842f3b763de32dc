"""A canary is asked at exactly its URL; what is none is refused before anything is probed."""

from __future__ import annotations

import pytest

from healthprobe.domain.endpoint import Endpoint
from healthprobe.ports import ConfigurationError
from healthprobe.surfaces.canaries import canary_targets


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://gateway:8443/status", "/status"),
        ("http://gateway", "/"),
        ("http://gateway/", "/"),
        ("http://user:secret@gateway/a/b", "/a/b"),
    ],
)
def test_a_canary_is_asked_at_exactly_its_url(url: str, path: str) -> None:
    (target,) = canary_targets([url], 2.0)
    assert isinstance(target.endpoint, Endpoint)
    assert target.endpoint.prefix == ""
    assert target.settings.path == path
    assert "secret" not in target.game_id


def test_a_canary_that_is_named_twice_is_asked_once() -> None:
    assert len(canary_targets(["http://gateway/a", "http://gateway/a", "http://gateway/b"], 2.0)) == 2


@pytest.mark.parametrize("url", ["gateway", "ftp://gateway", "http://", "http://user:secret@gate way/"])
def test_what_is_no_url_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--canary .*; write something that always answers 200") as refused:
        canary_targets([url], 2.0)
    assert "secret" not in str(refused.value)
