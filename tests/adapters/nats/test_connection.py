"""A connection outlives the node that it began with, also where it knows the others by that node's word alone."""

import asyncio
import time
from contextlib import aclosing

import pytest
from tests.servers.nats import NatsCluster

from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.jetstream import JetStream


@pytest.mark.parametrize(
    ("authorization", "credentials"),
    [('user: "me@home", password: "p/w"', "me%40home:p%2Fw"), ('token: "t/k"', "t%2Fk")],
    ids=["user and password", "token"],
)
async def test_a_node_that_was_discovered_knows_who_we_are(authorization: str, credentials: str) -> None:
    with NatsCluster(nodes=2, more=f"authorization {{ {authorization} }}") as cluster:
        first, second = cluster.nodes
        address = NatsAddress.of_url(f"nats://{credentials}@127.0.0.1:{first.port}")
        async with aclosing(await JetStream.open(address)) as stream:
            first.kill()
            deadline = time.monotonic() + 20
            while (url := stream.client.connected_url) is None or url.port != second.port:
                assert time.monotonic() < deadline, "the other node is not found, or does not let us in"
                await asyncio.sleep(0.02)
            await stream.client.flush()
            assert stream.is_connected
