"""The shipped nats-server.conf: three real nodes started from that very file are one cluster, closed to strangers."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
import trustme
from tests.deploy import shipped_fixtures
from tests.deploy.shipped import CONFIGURATION, PASSWORD, ROUTE_PASSWORD, ShippedNats

from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.connection import JetStream, Request
from healthprobe.ports import ConfigurationError

nats = shipped_fixtures.nats

OURS = (
    "health.events.7.game-7",
    "health.epochs.7",
    "health.relays.stdout",
    "health.leases.shards.7",
    "health.instances.n1",
    "$KV.health_runtime_records.game-7",
    "$JS.API.INFO",
    "$JS.ACK.health_leases.shards.1.1.1.1.1",
)
NOT_OURS = (
    "health.events",
    "other.events.7.game-7",
    "$SYS.REQ.SERVER.PING",
    "_INBOX.another.1",
    "$JS.EVENT.ADVISORY.x",
)
OURSELVES = {"user": "healthprobe", "pass": PASSWORD}
REFUSED = b" Violation"
WITHIN = 5.0


@pytest.fixture
async def stream(nats: ShippedNats) -> AsyncIterator[JetStream]:
    stream = await JetStream.open(NatsAddress.of_url(nats.url()))
    yield stream
    await stream.aclose()


def test_all_nodes_are_of_one_cluster_and_each_syncs_before_it_acknowledges(nats: ShippedNats) -> None:
    told = [nats.told(node, "/varz") for node in range(3)]
    assert [each["server_name"] for each in told] == ["n1", "n2", "n3"]
    assert [each["jetstream"]["config"]["sync_always"] for each in told] == [True, True, True]
    assert {each["jetstream"]["meta"]["cluster_size"] for each in told} == {3}


async def test_the_user_healthprobe_keeps_events_in_three_copies(stream: JetStream) -> None:
    config = {"name": "health_events", "subjects": ["health.events.>"], "num_replicas": 3}
    made = await stream.call("STREAM.CREATE.health_events", config)
    assert len(made["cluster"]["replicas"]) == 2
    (answer,) = await stream.ask([Request("health.events.7.game-7", b"{}")])
    assert msgspec.json.decode(answer)["seq"] == 1


async def test_it_may_publish_what_it_keeps_and_nothing_else(nats: ShippedNats) -> None:
    assert REFUSED not in await answer_to(nats, 4222, OURSELVES, [f"PUB {subject} 0\r\n" for subject in OURS])
    for subject in NOT_OURS:
        assert REFUSED in await answer_to(nats, 4222, OURSELVES, [f"PUB {subject} 0\r\n"]), subject


async def test_it_hears_answers_and_other_instances_and_nothing_else(nats: ShippedNats) -> None:
    heard = ["SUB _INBOX.mine.* 1", "SUB health.instances.* 2"]
    assert REFUSED not in await answer_to(nats, 4222, OURSELVES, heard)
    for subject in (">", "health.events.>", "$SYS.>"):
        assert REFUSED in await answer_to(nats, 4222, OURSELVES, [f"SUB {subject} 1"]), subject


async def test_a_wrong_password_is_refused_in_plain_words(nats: ShippedNats) -> None:
    with pytest.raises(ConfigurationError, match="Violation; look at the user and the password in") as refused:
        await JetStream.open(NatsAddress.of_url(nats.url(password="guessed")))
    assert "guessed" not in str(refused.value)


async def test_whoever_has_no_user_is_not_let_in(nats: ShippedNats) -> None:
    assert REFUSED in await answer_to(nats, 4222, {})


async def test_nobody_joins_the_nodes_without_their_password(nats: ShippedNats) -> None:
    node = {"name": "n4", "cluster": "healthprobe", "user": "route"}
    assert REFUSED in await answer_to(nats, 6222, {**node, "pass": "guessed"})
    assert REFUSED not in await answer_to(nats, 6222, {**node, "pass": ROUTE_PASSWORD})


async def answer_to(
    nats: ShippedNats, port: int, introduction: Mapping[str, str], commands: Sequence[str] = ()
) -> bytes:
    """What a node answers to whoever introduces himself like this and then commands that."""
    async with asyncio.timeout(WITHIN):
        reader, writer = await asyncio.open_connection(nats.hosts[0], port)
        connect = b"CONNECT " + msgspec.json.encode({"verbose": False, **introduction})
        writer.write(b"\r\n".join([connect, *(command.encode() for command in commands), b"PING", b""]))
        answer = b""
        while line := await reader.readline():
            answer += line
            if line.startswith((b"PONG", b"-ERR")):
                break
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        return answer


def test_the_monitoring_page_is_for_the_machine_itself(nats: ShippedNats) -> None:
    assert nats.told(0, "/varz")["http_host"] == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((nats.hosts[0], nats.monitors[0]), timeout=WITHIN)


async def test_with_the_marks_before_tls_taken_away_it_is_spoken_everywhere(tmp_path: Path) -> None:
    by_tls = tmp_path / "tls.conf"
    by_tls.write_text(CONFIGURATION.read_text().replace("#tls {", "tls {"))
    paths = {name: tmp_path / f"{name}.pem" for name in ("authority", "certificate", "key")}
    environment = {f"NATS_{name.upper()}": str(path) for name, path in paths.items()}
    nats = ShippedNats(tmp_path, configuration=by_tls, environment=environment)
    authority = trustme.CA()
    certificate = authority.issue_cert(*nats.hosts)
    authority.cert_pem.write_to_path(str(paths["authority"]))
    certificate.cert_chain_pems[0].write_to_path(str(paths["certificate"]))
    certificate.private_key_pem.write_to_path(str(paths["key"]))
    with nats:
        nats.wait_until_healthy()
        assert all(nats.told(node, "/varz")["cluster"]["tls_required"] for node in range(3))
        url = nats.url(f"?ca={paths['authority']}", scheme="tls")
        stream = await JetStream.open(NatsAddress.of_url(url))
        await stream.call("INFO")
        await stream.aclose()
