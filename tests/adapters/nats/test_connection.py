"""A connection outlives the node that it began with, and whatever a node says as it hangs up."""

import asyncio
import sys
import time
from contextlib import aclosing
from itertools import count
from pathlib import Path

import pytest
import trustme
from tests.adapters.nats.lease_fleet import until
from tests.servers import nats_fixtures
from tests.servers.nats import NatsCluster, NatsServer
from tests.servers.nats_credentials import credentials
from tests.servers.ports import free_port
from tests.support.waiting import PATIENCE

from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.connection import JetStream, Unanswered
from healthprobe.app.urls import Adapters
from healthprobe.ports import ConfigurationError

own_nats = nats_fixtures.own_nats

STRANGER = 2
"""Which of those who answer is no NATS server."""

SEED = """-----BEGIN USER NKEY SEED-----
SUAOY5JZ2WJKVR4UO2KJ2P3SW6FZFNWEOIMAXF4WZEUNVQXXUOKGM55CYE
------END USER NKEY SEED------
"""


@pytest.mark.parametrize(
    ("authorization", "credentials"),
    [('user: "me@home", password: "p/w"', "me%40home:p%2Fw"), ('token: "t/k"', "t%2Fk")],
    ids=["user and password", "token"],
)
async def test_a_discovered_node_is_sent_our_credentials(authorization: str, credentials: str) -> None:
    with NatsCluster(nodes=2, more=f"authorization {{ {authorization} }}") as cluster:
        first, second = cluster.nodes
        address = NatsAddress.of_url(f"nats://{credentials}@127.0.0.1:{first.port}")
        async with aclosing(await JetStream.open(address)) as stream:
            first.kill()
            deadline = time.monotonic() + PATIENCE
            while (url := stream.client.connected_url) is None or url.port != second.port:
                assert time.monotonic() < deadline, "the other node is not found, or does not let us in"
                await asyncio.sleep(0.02)
            await stream.client.flush()
            assert stream.is_connected


@pytest.mark.parametrize(
    ("scheme", "version", "why"),
    [
        ("tls", "2.12.0", "it does not speak TLS: give it a certificate, or write nats://"),
        ("nats", "2.10.26", "it is nats-server 2.10.26: upgrade it, to 2.11 or newer"),
        ("nats", "1.4.0-beta.2", "it is nats-server 1.4.0-beta.2: upgrade it"),
    ],
)
async def test_a_server_without_the_tls_that_was_asked_for_or_too_old_is_refused_before_it_has_the_password(
    scheme: str, version: str, why: str
) -> None:
    told = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f'INFO {{"server_id":"x","version":"{version}","headers":true}}\r\n'.encode())
        told.extend(await reader.read(1000))
        writer.close()

    port = free_port()
    async with await asyncio.start_server(serve, "127.0.0.1", port):
        with pytest.raises(ConfigurationError, match=why):
            await JetStream.open(NatsAddress.of_url(f"{scheme}://healthprobe:secret@127.0.0.1:{port}"))
    assert bytes(told) == b""


async def test_tls_is_used_with_a_server_that_leaves_it_to_its_clients(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    pem = f'"{tmp_path / "server.pem"}"'
    with NatsServer(more=f"tls {{ cert_file: {pem}, key_file: {pem} }}\nallow_non_tls: true") as server:
        for url, speaks_tls in (
            (f"tls://127.0.0.1:{server.port}?ca={tmp_path / 'ca.pem'}", True),
            (server.url(), False),
        ):
            async with aclosing(await JetStream.open(NatsAddress.of_url(url))):
                [connection] = server.monitoring("/connz")["connections"]
                assert ("tls_version" in connection) == speaks_tls


async def test_connecting_can_be_cancelled_at_every_moment(own_nats: NatsServer) -> None:
    address = NatsAddress.of_url(own_nats.url())
    for moment in range(60):
        connecting = asyncio.ensure_future(JetStream.open(address))
        for _ in range(moment):
            await asyncio.sleep(0)
        if not connecting.cancel():
            await (await connecting).aclose()
            continue
        await asyncio.wait({connecting}, timeout=PATIENCE)
        assert connecting.cancelled(), f"it went on when it was cancelled after {moment} turns of the loop"


async def test_a_cancelled_task_can_still_connect_to_clean_up(own_nats: NatsServer) -> None:
    connected: list[bool] = []

    async def tidy() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            async with aclosing(await JetStream.open(NatsAddress.of_url(own_nats.url()))) as stream:
                connected.append(stream.is_connected)

    tidying = asyncio.ensure_future(tidy())
    await asyncio.sleep(0)
    tidying.cancel()
    await asyncio.wait({tidying}, timeout=PATIENCE)
    assert connected == [True]
    assert tidying.cancelled()


async def test_a_connection_over_the_limit_reconnects_when_there_is_room_again(own_nats: NatsServer) -> None:
    address = NatsAddress.of_url(own_nats.url())
    async with aclosing(await JetStream.open(address)) as one, aclosing(await JetStream.open(address)) as other:
        own_nats.reload("max_connections: 1")
        deadline = time.monotonic() + PATIENCE
        while one.is_connected and other.is_connected:
            assert time.monotonic() < deadline, "nobody was let go"
            await asyncio.sleep(0.02)
        own_nats.reload("max_connections: 2")
        while not (one.is_connected and other.is_connected):
            assert time.monotonic() < deadline, "who was let go has given up for good"
            await asyncio.sleep(0.02)
        for stream in (one, other):
            assert await stream.call("INFO")


async def test_a_refused_connection_and_an_unknown_host_are_reported_in_words() -> None:
    with pytest.raises(Unanswered, match=r"^connection refused$"):
        await JetStream.open(NatsAddress.of_url(f"nats://127.0.0.1:{free_port()}"))
    with pytest.raises(Unanswered, match=r"^(name or service not known|temporary failure in name resolution)$"):
        await JetStream.open(NatsAddress.of_url("nats://nowhere.invalid"))


@pytest.mark.parametrize("answer", [b"x" * 200_000, b"INFO\r\n", b"INFO []\r\n"], ids=["no line", "no words", "a list"])
async def test_a_connection_survives_answers_that_are_not_the_nats_protocol(answer: bytes) -> None:
    came = count(1)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(came)
        if number == STRANGER:
            writer.write(answer)
        else:
            writer.write(b'INFO {"version":"2.12.0","headers":true}\r\n')
            while line := await reader.readline():
                if line.startswith(b"PING"):
                    writer.write(b"PONG\r\n")
                if number < STRANGER and line.startswith(b"SUB"):
                    break
        writer.close()

    port = free_port()
    async with await asyncio.start_server(serve, "127.0.0.1", port):
        async with aclosing(await JetStream.open(NatsAddress.of_url(f"nats://127.0.0.1:{port}"))) as stream:
            await until(lambda: not stream.is_connected, "its server hangs up")
            await until(lambda: stream.is_connected, "it is connected again")
        await asyncio.sleep(0.05)
    assert next(came) > STRANGER + 1


@pytest.mark.parametrize("words", ["", SEED], ids=["nothing", "no JWT"])
async def test_a_file_without_credentials_is_reported(tmp_path: Path, words: str) -> None:
    creds = tmp_path / "us.creds"
    creds.write_text(words)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"version":"2.12.0","headers":true,"auth_required":true,"nonce":"n"}\r\n')
        await reader.read(1000)
        writer.close()

    port = free_port()
    async with await asyncio.start_server(serve, "127.0.0.1", port):
        with pytest.raises(ConfigurationError, match="has not both a user's JWT and its seed"):
            await JetStream.open(NatsAddress.of_url(f"nats://127.0.0.1:{port}?creds={creds}"))


async def test_credentials_without_nkeys_are_reported_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nkeys", None)
    creds = tmp_path / "us.creds"
    creds.write_text(SEED)
    async with Adapters() as adapters:
        with pytest.raises(ConfigurationError, match=r"\?creds= needs nkeys.*pip install 'healthprobe\[nats\]'"):
            await adapters.jetstream(f"nats://127.0.0.1:{free_port()}?creds={creds}")


async def test_credentials_are_accepted_only_from_the_server_s_own_operator(
    tmp_path: Path,
) -> None:
    ours, theirs = credentials(), credentials()
    creds = tmp_path / "us.creds"
    creds.write_text(ours.words)
    with NatsServer(more=ours.config) as server:
        address = NatsAddress.of_url(server.url(f"?creds={creds}"))
        async with aclosing(await JetStream.open(address)) as stream:
            assert (await stream.call("INFO"))["streams"] == 0
        creds.write_text(theirs.words)
        with pytest.raises(ConfigurationError, match="refuses the connection: Authorization Violation"):
            await JetStream.open(address)
