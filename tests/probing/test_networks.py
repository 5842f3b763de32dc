"""Nothing is sent to a forbidden address, to a name that resolves to one, or to a forbidden socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, Connection
from tests.probing.probes import target_at
from tests.probing.resolvers import FixedAddresses

from healthprobe.domain.networks import Networks
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind
from healthprobe.probing.http import HTTPProber

Within = Callable[..., "asyncio.Future[HTTPProber]"]


@pytest.fixture
async def within() -> AsyncIterator[Callable[[Networks], HTTPProber]]:
    """Makes probers for these networks, with two addresses for the name `engine`."""
    async with AsyncExitStack() as stack:
        names = FixedAddresses({"engine": ("127.9.9.9", "127.0.0.1"), "metadata": ("169.254.169.254",)})

        def prober(networks: Networks) -> HTTPProber:
            made = HTTPProber(networks=networks, resolver=names)
            stack.push_async_callback(made.aclose)
            return made

        yield prober


async def answers(connection: Connection) -> None:
    while True:
        await connection.request()
        await connection.send(OK)


@pytest.mark.proves("network-http")
async def test_a_forbidden_address_is_a_failure_and_nothing_is_sent_there(
    peer: StartPeer, within: Callable[[Networks], HTTPProber]
) -> None:
    engine = await peer(answers)
    outcome = await within(Networks.parse(deny=["127.0.0.0/8"])).probe(engine.target())
    assert outcome == Failed(0, "address 127.0.0.1 is not to be probed: --deny-network 127.0.0.0/8")
    assert isinstance(outcome, Failed)
    assert outcome.kind is FailureKind.ENDPOINT
    assert engine.connections == 0


@pytest.mark.proves("network-by-name")
async def test_the_addresses_of_a_name_are_checked(within: Callable[[Networks], HTTPProber]) -> None:
    outcome = await within(Networks.parse(deny=["169.254.0.0/16"])).probe(target_at("http://metadata/latest"))
    assert outcome == Failed(0, "address 169.254.169.254 is not to be probed: --deny-network 169.254.0.0/16")


@pytest.mark.proves("network-several-addresses")
async def test_only_the_allowed_addresses_of_a_name_are_used(
    peer: StartPeer, within: Callable[[Networks], HTTPProber]
) -> None:
    engine = await peer(answers)
    elsewhere = await peer(answers, host="127.9.9.9", port=engine.port)
    outcome = await within(Networks.parse(allow=["127.0.0.0/16"])).probe(target_at(engine.url(host="engine")))
    assert outcome == HEALTHY
    assert (engine.connections, elsewhere.connections) == (1, 0)


@pytest.mark.proves("unix-socket-closed")
async def test_with_allowed_networks_no_unix_socket_is_opened(
    within: Callable[[Networks], HTTPProber], tmp_path: Path
) -> None:
    target = target_at(f"unix:{tmp_path}/engine.sock")
    outcome = await within(Networks.parse(allow=["127.0.0.0/8"])).probe(target)
    assert outcome == Failed(0, "a unix socket is in no --allow-network")
