"""Records on JetStream: edited by commands, seen by a run at once, over one connection."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.servers import nats_fixtures
from tests.servers.nats import NatsServer
from tests.servers.nats_records_fixtures import Platform
from tests.servers.ports import free_port
from tests.support.live_engine import LiveEngine
from tests.support.program import CommandLine, Program, documents, next_document, next_log_line
from tests.support.waiting import PATIENCE

from healthprobe.adapters.nats import JetStreamLog
from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.connection import JetStream
from healthprobe.app.urls import Adapters
from healthprobe.testing.contracts.samples import failed, history

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix


@pytest.fixture
def bucket_url(nats_server: NatsServer, prefix: str) -> str:
    """A bucket of the test's own, with a password that nobody may see."""
    return nats_server.url(f"/{prefix}").replace("//", "//user:SECRET@")


def test_a_bucket_is_edited_like_the_embedded_store_and_its_password_is_not_shown(
    command_line: CommandLine, bucket_url: str, tmp_path: Path
) -> None:
    records = ("--records", bucket_url)
    games = tmp_path / "games.json"
    games.write_text(json.dumps([{"game_id": f"game {n}", "engine_endpoint": f"http://h:{n}"} for n in (9, 8)]))
    missing = command_line("runtimes", "list", *records)
    assert (missing.code, missing.out, len(missing.err)) == (2, [], 1)
    assert "there is no such bucket: `healthprobe runtimes add`" in missing.err[0]
    assert command_line("runtimes", "add", "game 7", "http://h:7", "--container", "c0ffee", *records).code == 0
    imported = command_line("runtimes", "import", str(games), *records)
    assert (imported.code, len(imported.err)) == (0, 1)
    assert imported.err[0].startswith("healthprobe: imported 2 games into nats://***@127.0.0.1:")
    assert command_line("runtimes", "add", "game 8", "http://h:8", "--status", "stopped", *records).code == 0
    removed = command_line("runtimes", "remove", "game 9", "game 10", *records)
    assert (removed.code, len(removed.err)) == (1, 1)
    listed = command_line("runtimes", "list", *records)
    assert (listed.code, listed.err) == (0, [])
    assert documents(listed.out) == [
        {"game_id": "game 7", "current_container_id": "c0ffee", "engine_endpoint": "http://h:7", "status": "running"},
        {"game_id": "game 8", "current_container_id": "", "engine_endpoint": "http://h:8", "status": "stopped"},
    ]
    assert "SECRET" not in "".join([*missing.err, *imported.err, *removed.err])


def test_an_invalid_value_is_reported_on_standard_error_and_not_listed(
    command_line: CommandLine, nats_server: NatsServer, prefix: str, bucket_url: str
) -> None:
    command_line("runtimes", "add", "game-7", "http://h:7", "--records", bucket_url)
    put(nats_server, prefix, "game-8", b"http://h:8")
    listed = command_line("runtimes", "list", "--records", bucket_url)
    assert (listed.code, [record["game_id"] for record in documents(listed.out)]) == (0, ["game-7"])
    [warning] = documents(listed.err)
    assert (warning["msg"], warning["count"]) == ("records skipped", 1)
    assert warning["err"].startswith("key 'game-8': not valid JSON: write {")


def test_servers_that_are_away_are_one_line_on_standard_error(command_line: CommandLine) -> None:
    told = command_line("runtimes", "list", "--records", "nats://user:SECRET@127.0.0.1:1/GAMES")
    assert (told.code, told.out, len(told.err)) == (1, [], 1)
    assert "nats://127.0.0.1:1/GAMES: " in told.err[0]
    assert "check that its servers run and can be reached" in told.err[0]
    assert "SECRET" not in told.err[0]


def test_a_game_that_starts_is_probed_at_once(
    program: Program, nats_server: NatsServer, prefix: str, bucket_url: str, engine: LiveEngine
) -> None:
    running = program.start("run", "--records", bucket_url, "--interval", "60s", "--timeout", "1s")
    assert next_log_line(running)["games"] == 0
    begun = time.monotonic()
    value = json.dumps({"engine_endpoint": engine.endpoint}).encode()
    with ThreadPoolExecutor(1) as beside:
        putting = beside.submit(put, nats_server, prefix, "game-7", value)
        engine.wait_for_probes(1)
        putting.result()
    assert time.monotonic() - begun < 30, "a tick comes once in 60 seconds"
    running.terminate()
    running.communicate(timeout=PATIENCE)
    assert running.returncode == 0


async def test_each_cluster_is_connected_once(nats_url: str, bucket_url: str) -> None:
    async with Adapters() as adapters:
        games, log = await adapters.jetstream(f"{nats_url}&replicas=1"), await adapters.jetstream(nats_url)
        other_user = await adapters.jetstream(bucket_url)
        assert games.client is log.client
        assert (games.address.replicas, log.address.replicas) == (1, None)
        assert other_user.client is not log.client
        told = await asyncio.gather(*(stream.call("INFO") for stream in (games, log, games, log)))
        assert len(told) == 4
    assert log.client.is_closed


def test_claims_of_shards_do_not_count_as_lag(command_line: CommandLine, nats_url: str) -> None:
    async def take_over_and_see_one_fail() -> None:
        stream = await JetStream.open(NatsAddress.of_url(nats_url))
        log = await JetStreamLog.open(stream, by_claims=True)
        await log.save_cursor("stdout:", 0)
        await log.claim(range(256))
        await log.append([failed("game-7", 1)])
        await stream.aclose()

    asyncio.run(take_over_and_see_one_fail())
    assert documents(command_line("relays", "--log", nats_url).out) == [
        {"publisher": "stdout:", "lag": 1, "dead_letters": 0, "error": None}
    ]


def test_a_cluster_variable_names_its_games_and_its_log(program: Program, nats_url: str, tmp_path: Path) -> None:
    cluster = {"HEALTHPROBE_CLUSTER": nats_url}
    assert program("runtimes", "add", "game-7", "http://h:7", **cluster).returncode == 0
    listed = program("runtimes", "list", "--records", nats_url)
    assert [json.loads(line)["game_id"] for line in listed.stdout.splitlines()] == ["game-7"]
    nothing = f"healthprobe: {nats_url.partition('?')[0]} holds nothing yet: 'healthprobe run' creates it\n"
    for command in ("events", "incidents", "relays", "status"):
        told = program(command, **cluster)
        assert (told.returncode, told.stderr) == (2, nothing)
    elsewhere = program("incidents", HEALTHPROBE_LOG="sqlite:mine.db", **cluster)
    assert elsewhere.stderr.startswith("healthprobe: mine.db holds nothing yet")
    assert not list(tmp_path.iterdir())


def test_following_waits_for_a_log_that_is_away_and_reports_it_once(program: Program) -> None:
    async def see(number: int) -> None:
        stream = await JetStream.open(NatsAddress.of_url(server.url()))
        log = await JetStreamLog.open(stream)
        await log.append([history("game-7", number)[-1]])
        await stream.aclose()

    with NatsServer() as server:
        asyncio.run(see(1))
        following = program.start("events", "--follow", "--log", server.url())
        assert next_document(following)["id"] == "game-7:1"
        server.kill()
        assert following.stderr is not None
        assert following.stderr.readline().endswith(
            "check that the servers run, and that most of them reach each other; waiting for it\n"
        )
        server.start()
        asyncio.run(see(2))
        assert next_document(following)["id"] == "game-7:2"
        following.terminate()
        _, told = following.communicate(timeout=PATIENCE)
        assert (following.returncode, told) == (0, "healthprobe: the log answers again\n")


def put(server: NatsServer, bucket: str, key: str, value: bytes) -> None:
    """Put a value as another program does."""

    async def put() -> None:
        async with Platform([server.url()], bucket) as platform:
            await platform.put_raw(key, value)

    asyncio.run(put())


def test_a_silence_is_kept_in_the_log_of_a_cluster_and_seen_by_a_run_within_two_seconds(
    program: Program, command_line: CommandLine, nats_url: str, engine: LiveEngine
) -> None:
    port = free_port()
    command_line("runtimes", "add", "chess", engine.endpoint, "--records", nats_url)
    run = ("run", "--interval", "500ms", "--timeout", "200ms", "--cluster", nats_url, "--listen", f"127.0.0.1:{port}")
    program.start(*run)
    at, shared = ("--at", f"http://127.0.0.1:{port}"), ("--log", nats_url, "--records", nats_url)
    engine.wait_for_probes(2)
    [made] = documents(command_line("silence", "--host", "127.0.0.1", "--for", "1h", "--who", "anna", *shared).out)
    time.sleep(2.0)
    [status] = documents(command_line("status", *at).out)
    assert status["silences"] == [made]
    [explained] = documents(command_line("explain", "chess", *at).out)
    assert "It is silenced by anna until" in explained["explanation"]
    assert command_line("silence", "--end", made["id"], *shared).code == 0
    time.sleep(2.0)
    assert documents(command_line("status", *at).out)[0]["silences"] == []
