"""Whose fault it is that an address cannot be reached: tried on real routes of every type, in a network of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.probing.probes import assert_failed, target_at
from tests.probing.resolvers import FixedAddresses

from healthprobe.probing.http import HTTPProber

CHILD = Path(__file__).with_name("routes_child.py")
CANNOT = 77
KINDS = ("http", "tls", "tcp", "grpc")

PROHIBITED = "no route: the prober's machine prohibits the connection"
UNREACHABLE = "no route: a route of the prober's machine makes the engine unreachable"
DISCARDED = "no route: a route of the prober's machine discards what is sent to the engine"
NONE = "no route: the prober has no route to the engine's network"
NO_SOURCE = "no route: the prober's machine has no address to connect to the engine from"

Found = dict[str, dict[str, str]]


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def found(request: pytest.FixtureRequest) -> Found:
    command = ["unshare", "-rn", sys.executable, "-W", "error", str(CHILD), request.param]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("this machine has no unshare")
    if done.returncode == CANNOT or (done.returncode and done.stderr.startswith("unshare:")):
        pytest.skip(f"this machine allows no network namespaces: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    outcomes: Found = json.loads(done.stdout)
    return outcomes


def each_kind(found: Found, address: str) -> set[str]:
    return {found[kind][address] for kind in KINDS}


@pytest.mark.proves("route-prohibit")
def test_a_route_of_type_prohibit_is_no_failure(found: Found) -> None:
    assert each_kind(found, "prohibit") == each_kind(found, "prohibit, IPv6") == {PROHIBITED}


@pytest.mark.proves("route-unreachable")
def test_a_route_of_type_unreachable_is_no_failure(found: Found) -> None:
    assert each_kind(found, "unreachable") == each_kind(found, "unreachable, IPv6") == {UNREACHABLE}


@pytest.mark.proves("route-blackhole")
def test_a_route_of_type_blackhole_is_no_failure(found: Found) -> None:
    assert each_kind(found, "blackhole") == each_kind(found, "blackhole, IPv6") == {DISCARDED}


@pytest.mark.proves("route-none")
def test_a_route_of_type_throw_and_none_at_all_are_no_failure(found: Found) -> None:
    assert each_kind(found, "throw") == each_kind(found, "throw, IPv6") == {NONE}
    assert each_kind(found, "no route") == {NONE}


@pytest.mark.proves("route-broadcast")
def test_an_address_of_broadcast_or_multicast_has_no_route(found: Found) -> None:
    for kind in ("http", "tls", "tcp"):
        for address in ("broadcast", "limited broadcast", "multicast", "multicast, IPv6"):
            assert found[kind][address] == NONE
    for address in ("broadcast", "limited broadcast", "multicast", "multicast, IPv6"):
        assert found["grpc"][address].startswith("no route: ")


@pytest.mark.proves("route-no-source")
def test_an_ipv6_address_where_ipv6_is_switched_off_has_no_route_and_no_port_is_missing(found: Found) -> None:
    assert each_kind(found, "IPv6 switched off") == {NO_SOURCE}


@pytest.mark.proves("neighbour-silent")
def test_a_machine_that_is_off_on_a_network_with_a_route_is_a_failure(found: Found) -> None:
    """The kernel's number is the same as for a route of type unreachable."""
    assert each_kind(found, "no such neighbour") == {"failed: no route to host"}


def test_a_refused_connection_is_a_failure_in_the_same_network(found: Found) -> None:
    assert each_kind(found, "refused") == {"failed: connection refused"}


@pytest.mark.proves("route-one-of-two")
async def test_a_name_with_an_address_without_a_route_and_one_that_refuses_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    names = FixedAddresses({"game-7.example": ("224.0.0.1", "127.0.0.1")})
    async with HTTPProber(resolver=names) as prober:
        assert_failed(await prober.probe(target_at(f"http://game-7.example:{port}")), "connection refused")
