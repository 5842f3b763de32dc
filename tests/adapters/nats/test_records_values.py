"""What stands under a key: a record, or a fault that is told and hides no other; all in an order that never changes."""

import asyncio

import pytest
from tests.servers import nats_fixtures, nats_records_fixtures
from tests.servers.nats_records_fixtures import OpenPlatform, OpenRecords, Skipped

from healthprobe.adapters.nats.record_values import InvalidValue, RecordIndex, decode_record
from healthprobe.domain.record import RUNNING, RuntimeRecord

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix
open_records = nats_records_fixtures.open_records
open_platform = nats_records_fixtures.open_platform

VALUE = b'{"engine_endpoint": "http://h:1"}'
GAME_7 = RuntimeRecord("game-7", "c0ffee", "http://game-7:8080")
GAME_8 = RuntimeRecord("game-8", "", "http://game-8:8080")


async def test_a_value_that_is_no_record_is_left_out_and_reported_until_it_is_corrected(
    open_platform: OpenPlatform, open_records: OpenRecords, nats_url: str
) -> None:
    platform = await open_platform(nats_url)
    skipped = Skipped()
    watched = await open_records(nats_url, skipped=skipped)
    await platform.put("game-7", GAME_7.engine_endpoint, current_container_id="c0ffee")
    await platform.put("game-8", GAME_8.engine_endpoint)
    await watched.shows(GAME_7, GAME_8)
    await platform.put_raw("game-7", b'{"engine_endpont": "http://game-7:8080"}')
    await watched.shows(GAME_8)
    await platform.put_raw("game-9", b"http://game-9:8080")
    await platform.put("game-8", GAME_8.engine_endpoint, current_container_id="cafe")
    await watched.shows(RuntimeRecord("game-8", "cafe", GAME_8.engine_endpoint))
    await watched.store.list_by_status(RUNNING)
    count, why = skipped.told[-1]
    assert count == 2
    assert why.startswith("key 'game-7': 'engine_endpont': there is no such field; there are game_id")
    await platform.put("game-7", GAME_7.engine_endpoint, current_container_id="c0ffee")
    await platform.delete("game-9")
    await platform.delete("game-8")
    await watched.shows(GAME_7)
    assert skipped.told[-1] == (0, "")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"", "it is empty: write {"),
        (b"game-7", "not valid JSON: write {"),
        (b"\xff", "not valid JSON: write {"),
        (b'{"engine_endpoint": "\\ud800"}', "not valid JSON: write {"),
        (b"[]", "it is not an object: write {"),
        (b"[" * 10_000, "not valid JSON: write {"),
        (b"{}", "the field engine_endpoint is missing: write {"),
        (b'{"engine_endpoint": null}', "'engine_endpoint': expected text, and this is nothing"),
        (b'{"engine_endpoint": "h", "game_id": 7}', "'game_id': expected text, and this is a number; quote it"),
        (b'{"engine_endpoint": "h", "game_id": ""}', "'game_id': it is empty"),
        (b'{"engine_endpoint": "h", "game_id": "a\\u0000"}', "contains a NUL character"),
        (b'{"engine_endpoint": "h", "current_container_id": "\\u0000"}', "contains a NUL character"),
        (b'{"engine_endpoint": "h", "' + b"x" * 9999 + b'": 1}', "x…': there is no such field"),
    ],
)
def test_a_fault_names_the_key_and_what_to_change(value: bytes, told: str) -> None:
    with pytest.raises(InvalidValue, match=r"\Akey '(game-7|k{79}…)': [^\n]{10,300}\Z") as fault:
        decode_record("game-7" if len(value) < 9999 else "k" * 9999, value)
    assert told in str(fault.value)


def test_a_value_may_leave_out_what_files_may() -> None:
    assert decode_record("game-7", b'{"engine_endpoint": "http://h:1", "current_container_id": null}') == RuntimeRecord(
        "game-7", "", "http://h:1", RUNNING
    )


async def test_the_order_of_a_listing_depends_on_the_keys_alone() -> None:
    keys = [f"key-{number}" for number in range(5_000)]
    listings = []
    for order in (keys, [*reversed(keys)], [*keys[2_500:], "gone", *keys[:2_500]]):
        index = RecordIndex()
        for key in order:
            index.put(key, b'{"engine_endpoint": "%s", "game_id": "game-7"}' % key.encode())
        index.drop("gone")
        await index.keep_only(set(keys[:1_000]))
        listings.append([record.engine_endpoint for record in await index.listing(RUNNING)])
    assert sorted(listings[0]) == sorted(keys[:1_000])
    assert listings[0] == listings[1] == listings[2]
    assert listings[0][:5] == ["key-495", "key-538", "key-764", "key-102", "key-310"], (
        "in every process, of every version"
    )


async def test_a_long_listing_yields_to_the_loop() -> None:
    index = RecordIndex()
    for number in range(20_000):
        index.put(f"key-{number}", VALUE)
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    taking = asyncio.create_task(take_turns())
    assert len(await index.listing(RUNNING)) == 20_000
    taking.cancel()
    assert turns >= 5


@pytest.mark.parametrize("key", [b"\xff", b"game-\xc3", b"a.\xed\xa0\x80"])
@pytest.mark.parametrize("headers", [b"", b"NATS/1.0\r\nX: \xff\r\n\r\n", b"NATS/1.0 \xff\xff\xff\r\n\r\n"])
async def test_a_key_and_headers_that_are_not_utf_8_hide_no_other_record(
    open_platform: OpenPlatform, open_records: OpenRecords, nats_url: str, key: bytes, headers: bytes
) -> None:
    platform = await open_platform(nats_url)
    skipped = Skipped()
    watched = await open_records(nats_url, skipped=skipped)
    await platform.put("game-7", GAME_7.engine_endpoint, current_container_id="c0ffee")
    await watched.shows(GAME_7)
    subject = b"$KV." + platform.bucket.encode() + b"." + key
    size = b"%d %d" % (len(headers), len(headers) + len(VALUE)) if headers else b"%d" % len(VALUE)
    command = (b"HPUB " if headers else b"PUB ") + subject + b" " + size + b"\r\n" + headers + VALUE + b"\r\n"
    await platform.client._send_command(command)
    await platform.client.flush()
    await platform.put("game-8", GAME_8.engine_endpoint)
    await watched.shows(GAME_7, GAME_8)
    await watched.store.list_by_status(RUNNING)
    count, why = skipped.told[-1]
    assert count == 1
    assert "it is not UTF-8: delete it" in why
    assert why.isascii()
    later = await open_records(nats_url, skipped=skipped)
    await later.shows(GAME_7, GAME_8)


def test_a_game_whose_value_was_spoiled_is_named_and_one_that_never_was_a_record_could_be_any() -> None:
    index = RecordIndex()
    index.put("game-7", VALUE)
    assert index.left_out == frozenset()
    index.put("game-7", b"{")
    index.put("game-7", b"")
    assert index.left_out == {"game-7"}
    index.put("other", b"{")
    assert index.left_out == {"game-7", ""}
    index.drop("other")
    index.put("game-7", VALUE)
    assert index.left_out == frozenset()
