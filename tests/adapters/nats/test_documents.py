"""Documents on JetStream: logs of older versions, streams of other programs, limits, and several writers."""

import asyncio
import gc
from functools import partial

import nats
import pytest
from tests.adapters.nats.patience import PATIENCE, at_last
from tests.servers import nats_fixtures
from tests.servers.nats import NatsCluster
from tests.servers.nats_fixtures import OpenLog

from healthprobe.adapters.nats.connection import JetStream, Request
from healthprobe.ports import ConfigurationError, ContentError, LogError
from healthprobe.testing.contracts.samples import failed, recovered

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix
open_log = nats_fixtures.open_log


async def test_a_log_of_an_older_version_is_read_and_gets_documents_with_the_first_that_is_put(
    nats_url: str, open_log: OpenLog, prefix: str
) -> None:
    older = await open_log(nats_url)
    await older._stream.call(f"STREAM.DELETE.{prefix}_documents")
    log = await open_log(nats_url, create=False)
    assert await log.documents("silence") == {}
    await log.put_documents("silence", {"1": "{}"})
    assert await older.documents("silence") == {"1": "{}"}


async def test_a_run_on_a_log_of_an_older_version_makes_the_stream_at_its_start(
    nats_url: str, open_log: OpenLog, prefix: str
) -> None:
    older = await open_log(nats_url)
    await older._stream.call(f"STREAM.DELETE.{prefix}_documents")
    await open_log(nats_url)
    config = (await older._stream.call(f"STREAM.INFO.{prefix}_documents"))["config"]
    assert (config["storage"], config["max_msgs_per_subject"], config["max_age"]) == ("file", 1, 0)


async def test_a_stream_of_that_name_that_would_forget_documents_is_refused(
    nats_url: str, open_log: OpenLog, prefix: str
) -> None:
    client = await nats.connect(nats_url.partition("?")[0])
    await client.jetstream().add_stream(
        name=f"{prefix}_documents", subjects=[f"{prefix}.relays.documents.*.*"], max_age=60.0
    )
    await client.close()
    with pytest.raises(
        ConfigurationError, match=f"its stream {prefix}_documents would not keep a log: set its max_age"
    ):
        await open_log(nats_url)


async def test_documents_of_two_prefixes_are_apart(nats_url: str, open_log: OpenLog) -> None:
    ours, theirs = await open_log(nats_url), await open_log(f"{nats_url}b")
    await ours.put_documents("silence", {"1": "ours"})
    await theirs.put_documents("silence", {"1": "theirs"})
    assert await ours.documents("silence") == {"1": "ours"}
    assert await theirs.documents("silence") == {"1": "theirs"}


async def test_a_document_larger_than_the_server_takes_is_refused_for_good_and_no_other_is_stored(
    nats_url: str, open_log: OpenLog
) -> None:
    log = await open_log(nats_url)
    log._stream.client._max_payload = 50_000
    with pytest.raises(ContentError, match="larger than the server allows: raise its max_payload"):
        await log.put_documents("silence", {"1": "{}", "2": "x" * 50_000})
    assert await log.documents("silence") == {}


async def test_writers_of_the_same_documents_all_succeed_and_one_of_them_is_last(
    nats_url: str, open_log: OpenLog
) -> None:
    logs = [await open_log(nats_url) for _ in range(4)]
    keys = [str(number) for number in range(20)]

    async def write(number: int) -> None:
        for time in range(5):
            await logs[number].put_documents("alert", dict.fromkeys(keys, f"{number} {time}"))
            await logs[number].put_documents("alert", {keys[time]: None})

    await asyncio.gather(*(write(number) for number in range(len(logs))))
    found = await logs[0].documents("alert")
    assert found.keys() >= set(keys[5:])
    assert {text[-1] for key, text in found.items() if key in keys[5:]} == {"4"}


async def test_what_does_not_change_is_not_written_again(nats_url: str, open_log: OpenLog, prefix: str) -> None:
    log = await open_log(nats_url)
    for _ in range(3):
        await log.put_documents("alert", {"1": "a", "2": "b"})
    state = (await log._stream.call(f"STREAM.INFO.{prefix}_documents"))["state"]
    assert (state["messages"], state["last_seq"]) == (2, 2)


async def test_documents_of_a_server_that_is_away_are_an_error_that_passes(nats_url: str, open_log: OpenLog) -> None:
    log = await open_log(nats_url)
    await log._stream.aclose()
    with pytest.raises(LogError, match="check that the servers run") as raised:
        await log.documents("silence")
    assert not raised.value.permanent
    with pytest.raises(LogError, match="check that the servers run"):
        await log.put_documents("silence", {"1": "{}"})


async def test_open_incidents_follow_a_log_in_which_another_program_publishes(
    nats_url: str, open_log: OpenLog, prefix: str
) -> None:
    log = await open_log(nats_url)
    await log.append([failed("game-7", 1), failed("game-8", 1)])
    assert set(await log.open_incidents()) == {"game-7", "game-8"}
    await log._stream.ask([Request(log._streams.of_game("game-7"), b"\xff"), Request(f"{prefix}.events.0.x", b"{}")])
    assert {"game-7", "game-8"} <= set(await log.open_incidents())
    await log.append([recovered("game-7", 2), failed("game-9", 1)])
    open_ones = await log.open_incidents()
    assert (open_ones["game-8"], open_ones["game-9"]) == (failed("game-8", 1), failed("game-9", 1))
    assert "game-7" not in open_ones


async def test_open_incidents_are_read_anew_where_somebody_emptied_the_log(nats_url: str, open_log: OpenLog) -> None:
    log, rival = await open_log(nats_url), await open_log(nats_url)
    await log.append([failed("game-7", 1), failed("game-8", 1)])
    assert len(await log.open_incidents()) == 2
    await rival._leader.purge(rival._streams.all_events)
    assert await log.open_incidents() == {}
    await log.append([failed("game-9", 1)])
    assert await log.open_incidents() == {"game-9": failed("game-9", 1)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # nats-py forgets the socket of a vain attempt
async def test_documents_and_open_incidents_survive_the_death_of_their_leader(
    open_log: OpenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JetStream.ask, "__defaults__", (1.0,))
    with NatsCluster() as cluster:
        log, other = await open_log(cluster.url()), await open_log(cluster.url())
        await log.append([failed("game-7", 1), failed("game-8", 1), recovered("game-8", 2)])
        expected = {str(number): f"before {number}" for number in range(50)}
        await log.put_documents("alert", dict(expected))
        killed = cluster.leader_of("health_documents")
        assert killed is not None
        killed.kill()
        async with asyncio.timeout(PATIENCE):
            changed = {"1": "after", "2": None, "50": "new"}
            await at_last(partial(log.put_documents, "alert", changed))
            expected = {**expected, "1": "after", "50": "new"}
            del expected["2"]
            assert await at_last(partial(other.documents, "alert")) == expected
            assert await at_last(partial(other.open_incidents)) == {"game-7": failed("game-7", 1)}
            await at_last(partial(log.append, [failed("game-8", 3)]))
            assert set(await at_last(partial(other.open_incidents))) == {"game-7", "game-8"}
        killed.start()
        await at_last(partial(other.put_documents, "alert", {"3": None}))
        del expected["3"]
        assert await at_last(partial(log.documents, "alert")) == expected
    gc.collect()
