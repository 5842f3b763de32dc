"""A unix socket as an endpoint, named by its absolute path."""

from __future__ import annotations

import pytest

from healthprobe.domain.endpoint import InvalidEndpoint, parse_endpoint


@pytest.mark.parametrize("text", ["unix:/run/games/game-7.sock", "unix:///run/games/game-7.sock"])
def test_a_socket_is_named_by_its_absolute_path(text: str) -> None:
    endpoint = parse_endpoint(text)
    assert (endpoint.scheme, endpoint.socket, endpoint.authority) == ("unix", "/run/games/game-7.sock", "localhost")
    assert endpoint.url == "unix:/run/games/game-7.sock"
    assert endpoint.healthz_path == "/healthz"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("unix:", "needs its absolute path"),
        ("unix:game.sock", "needs its absolute path"),
        ("unix://host/game.sock", "needs its absolute path"),
        ("unix:/run/", "needs its absolute path"),
        ("unix:/run/a b.sock", "contains a space"),
        ("unix:/run/\0.sock", "contains a space, a backslash or a control character"),
        ("unix:/" + "x" * 107, "longer than 107 bytes"),
    ],
)
def test_an_invalid_socket_path_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidEndpoint, match=reason):
        parse_endpoint(text)
