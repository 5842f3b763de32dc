"""Three real nodes with the shipped nats-server.conf form one cluster, which is closed to strangers."""

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

ALLOWED_SUBJECTS = (
    "health.events.7.game-7",
    "health.epochs.7",
    "health.relays.stdout",
    "health.relays.documents.silence.1",
    "health.leases.shards.7",
    "health.instances.n1",
    "$KV.health_runtime_records.game-7",
    "$JS.API.INFO",
    "$JS.ACK.health_leases.shards.1.1.1.1.1",
)
FORBIDDEN_SUBJECTS = (
    "health.events",
    "other.events.7.game-7",
    "$SYS.REQ.SERVER.PING",
    "_INBOX.another.1",
    "$JS.EVENT.ADVISORY.x",
)
LOGIN = {"user": "healthprobe", "pass": PASSWORD}
REFUSED = b" Violation"
TIMEOUT = 30.0


@pytest.fixture
async def stream(nats: ShippedNats) -> AsyncIterator[JetStream]:
    stream = await JetStream.open(NatsAddress.of_url(nats.url()))
    yield stream
    await stream.aclose()


def test_all_nodes_form_one_cluster_and_each_syncs_before_it_acknowledges(nats: ShippedNats) -> None:
    pages = [nats.monitoring(node, "/varz") for node in range(3)]
    assert [each["server_name"] for each in pages] == ["n1", "n2", "n3"]
    assert [each["jetstream"]["config"]["sync_always"] for each in pages] == [True, True, True]
    assert {each["jetstream"]["meta"]["cluster_size"] for each in pages} == {3}


async def test_the_user_healthprobe_keeps_events_in_three_copies(stream: JetStream) -> None:
    config = {"name": "health_events", "subjects": ["health.events.>"], "num_replicas": 3}
    made = await stream.call("STREAM.CREATE.health_events", config)
    assert len(made["cluster"]["replicas"]) == 2
    (answer,) = await stream.ask([Request("health.events.7.game-7", b"{}")])
    assert msgspec.json.decode(answer)["seq"] == 1


async def test_the_user_may_publish_to_its_own_subjects_and_no_others(nats: ShippedNats) -> None:
    assert REFUSED not in await answer_of(nats, 4222, LOGIN, [f"PUB {subject} 0\r\n" for subject in ALLOWED_SUBJECTS])
    for subject in FORBIDDEN_SUBJECTS:
        assert REFUSED in await answer_of(nats, 4222, LOGIN, [f"PUB {subject} 0\r\n"]), subject


async def test_the_user_may_subscribe_to_replies_and_instances_and_nothing_else(nats: ShippedNats) -> None:
    heard = ["SUB _INBOX.mine.* 1", "SUB health.instances.* 2"]
    assert REFUSED not in await answer_of(nats, 4222, LOGIN, heard)
    for subject in (">", "health.events.>", "$SYS.>"):
        assert REFUSED in await answer_of(nats, 4222, LOGIN, [f"SUB {subject} 1"]), subject


async def test_a_wrong_password_is_refused_and_the_error_does_not_show_it(nats: ShippedNats) -> None:
    with pytest.raises(ConfigurationError, match="Violation; look at the user and the password in") as refused:
        await JetStream.open(NatsAddress.of_url(nats.url(password="guessed")))
    assert "guessed" not in str(refused.value)


async def test_a_client_without_a_user_is_refused(nats: ShippedNats) -> None:
    assert REFUSED in await answer_of(nats, 4222, {})


async def test_a_node_without_the_route_password_cannot_join(nats: ShippedNats) -> None:
    node = {"name": "n4", "cluster": "healthprobe", "user": "route"}
    assert REFUSED in await answer_of(nats, 6222, {**node, "pass": "guessed"})
    assert REFUSED not in await answer_of(nats, 6222, {**node, "pass": ROUTE_PASSWORD})


async def answer_of(
    nats: ShippedNats, port: int, introduction: Mapping[str, str], commands: Sequence[str] = ()
) -> bytes:
    """Returns a node's response to CONNECT with `introduction` and to `commands`."""
    async with asyncio.timeout(TIMEOUT):
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


def test_the_monitoring_page_is_on_loopback_only(nats: ShippedNats) -> None:
    assert nats.monitoring(0, "/varz")["http_host"] == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((nats.hosts[0], nats.monitors[0]), timeout=TIMEOUT)


async def test_clients_and_routes_use_tls_once_the_tls_lines_are_uncommented(tmp_path: Path) -> None:
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
        assert all(nats.monitoring(node, "/varz")["cluster"]["tls_required"] for node in range(3))
        url = nats.url(f"?ca={paths['authority']}", scheme="tls")
        stream = await JetStream.open(NatsAddress.of_url(url))
        await stream.call("INFO")
        await stream.aclose()
