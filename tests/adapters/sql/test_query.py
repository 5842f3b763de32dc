"""Records from another program's tables: by any SELECT, without a write, and a bad row hides no other."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.servers.postgres import PostgresServer

from healthprobe.adapters.sql import SqlQuery, listing, postgres
from healthprobe.domain.labels import fault_of
from healthprobe.domain.probe.probe_parsing import parse_settings
from healthprobe.domain.record import UNTIL_ENDED, RuntimeRecord
from healthprobe.ports import ConfigurationError, StoreError

QUERY = "SELECT container AS current_container_id, 1 AS other, url AS engine_endpoint, id AS game_id FROM games"
GAME_7 = RuntimeRecord("game-7", "c0ffee", "http://game-7:8080")
GAME_8 = RuntimeRecord("game-8", "cafe", "http://game-8:8080")

Execute = Callable[[str], object]


class Skipped:
    """Records the calls of `on_skipped`."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str]] = []

    def __call__(self, count: int, why: str) -> None:
        self.calls.append((count, why))


@pytest.fixture
def skipped() -> Skipped:
    return Skipped()


@pytest.fixture
def platform(url: str, request: pytest.FixtureRequest) -> Iterator[Execute]:
    """The platform's program, which edits its own tables."""
    games = "CREATE TABLE games (id TEXT, container TEXT, url TEXT, state TEXT)"
    rows = (
        "INSERT INTO games VALUES ('game-7', 'c0ffee', 'http://game-7:8080', 'running'), "
        "('game-8', 'cafe', 'http://game-8:8080', 'running')"
    )
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.partition(":")[2], isolation_level=None)) as connection:
            connection.execute(games)
            connection.execute(rows)
            yield connection.execute
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.connect(url.rpartition("/")[2]) as there:
        there.execute(games)
        there.execute(rows)
        yield there.execute


@asynccontextmanager
async def opened(url: str, query: str, skipped: Skipped) -> AsyncIterator[SqlQuery]:
    store = await SqlQuery.open(url, query, skipped)
    yield store
    await store.aclose()


async def refusal(url: str, query: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        await SqlQuery.open(url, query, Skipped())
    assert "\n" not in str(refused.value)
    return str(refused.value).removeprefix("--records-query: ")


@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize(
    "ending",
    [
        "",
        " ; ;\n",
        " WHERE url LIKE '%:8080' AND id <> ':name' AND id <> '%(name)s' AND id <> '?'",
        " -- all that run",
        "; -- all that run",
        " /* 100% of them; really */",
    ],
)
async def test_columns_may_be_in_any_order_and_a_select_may_end_with_a_semicolon(
    url: str, ending: str, skipped: Skipped
) -> None:
    async with opened(url, QUERY + ending, skipped) as store:
        assert await store.list_by_status("running") == [GAME_7, GAME_8]
    assert skipped.calls == [(0, "")]


async def test_a_status_column_selects_the_running_games(url: str, platform: Execute, skipped: Skipped) -> None:
    async with opened(url, QUERY.replace("1 AS other", "state AS status"), skipped) as store:
        platform("UPDATE games SET state = 'stopped' WHERE id = 'game-7'")
        assert await store.list_by_status("running") == [GAME_8]
        assert await store.list_by_status("stopped") == [
            RuntimeRecord("game-7", "c0ffee", GAME_7.engine_endpoint, "stopped")
        ]


@pytest.mark.usefixtures("platform")
async def test_a_table_without_the_status_running_is_reported(url: str, skipped: Skipped) -> None:
    async with opened(url, QUERY.replace("1 AS other", "'up' AS status"), skipped) as store:
        assert await store.list_by_status("running") == []
        assert store.left_out == {""}
    assert skipped.calls == [(2, "no status is 'running', the first is 'up': write 'running' for games that run")]


async def test_a_query_with_too_many_slow_portions_times_out(
    url: str, platform: Execute, skipped: Skipped, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(url, QUERY, skipped) as store:
        for number in range(20):
            platform(f"INSERT INTO games SELECT 'g-{number}-' || id, container, url, state FROM games LIMIT 100")
        monkeypatch.setattr(listing, "READ_TIMEOUT", -1.0)
        with pytest.raises(StoreError, match="the query took longer than") as given_up:
            await store.list_by_status("running")
        assert not given_up.value.permanent
        monkeypatch.undo()
        assert len(await store.list_by_status("running")) > 500


async def test_a_reading_that_failed_does_not_count_as_known(
    url: str, platform: Execute, skipped: Skipped, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform("INSERT INTO games SELECT * FROM games WHERE id = 'game-7'")
    async with opened(url, QUERY, skipped) as store:
        assert await store.list_by_status("running") == [GAME_7, GAME_8, GAME_7]
        platform("DELETE FROM games WHERE id = 'game-7'")
        platform("INSERT INTO games VALUES ('game-9', 'c', 'http://game-9:8080', 'running')")
        platform("INSERT INTO games VALUES ('game-7', 'c0ffee', 'http://game-7:8080', 'running')")
        monkeypatch.setattr(listing, "READ_TIMEOUT", -1.0)
        with pytest.raises(StoreError):
            await store.list_by_status("running")
        monkeypatch.undo()
        running = await store.list_by_status("running")
    assert sorted(record.game_id for record in running) == ["game-7", "game-8", "game-9"]


@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("container AS wrong", "there is no column current_container_id, only wrong, "),
        ("NULL AS current_container_id", "current_container_id is null for game game-7: write COALESCE"),
        ("7 AS current_container_id", "current_container_id is int, not text for game game-7: write CAST"),
    ],
)
async def test_a_column_that_does_not_fit_is_named_at_the_start(url: str, column: str, message: str) -> None:
    assert message in await refusal(url, QUERY.replace("container AS current_container_id", column))


@pytest.mark.parametrize(
    "value", ["gen_random_uuid()", "true", "ARRAY['a']", "'{}'::json", "'a'::bytea", "1.5", "now()"]
)
async def test_only_text_types_of_postgresql_are_accepted_as_text(postgres_url: str, value: str) -> None:
    query = f"SELECT 'game-7'::text AS game_id, {value} AS current_container_id, 'u'::varchar AS engine_endpoint"
    assert "not text for game game-7: write CAST(… AS TEXT) AS current_container_id" in await refusal(
        postgres_url, query
    )


async def test_a_row_that_becomes_invalid_is_skipped_and_counted_until_it_is_repaired(
    url: str, platform: Execute, skipped: Skipped
) -> None:
    async with opened(url, QUERY, skipped) as store:
        platform("UPDATE games SET url = NULL WHERE id = 'game-7'")
        assert await store.list_by_status("running") == [GAME_8]
        assert [count for count, _ in skipped.calls] == [1]
        assert store.left_out == {"game-7"}
        assert skipped.calls[0][1].startswith("engine_endpoint is null for game game-7")
        platform("UPDATE games SET url = 'http://game-7:8080' WHERE id = 'game-7'")
        assert GAME_7 in await store.list_by_status("running")
        assert skipped.calls[-1] == (0, "")


@pytest.mark.parametrize("column", ["id", "container", "url"])
async def test_text_that_is_not_utf_8_is_skipped_and_named_and_keeps_no_start_out(
    url: str, platform: Execute, skipped: Skipped, column: str
) -> None:
    if not url.startswith("sqlite"):
        pytest.skip("PostgreSQL holds no such text, except in SQL_ASCII")
    platform(f"UPDATE games SET {column} = CAST(x'e9' AS TEXT) WHERE id = 'game-7'")
    async with opened(url, QUERY, skipped) as store:
        assert await store.list_by_status("running") == [GAME_8]
        assert await store.list_by_status("running") == [GAME_8]
    assert [count for count, _ in skipped.calls] == [1, 1]
    assert "is not UTF-8" in skipped.calls[0][1]
    assert "b'\\xe9'" in skipped.calls[0][1]


SQL_ASCII_ROWS = """
SELECT game_id::text, container AS current_container_id, endpoint::varchar AS engine_endpoint FROM (VALUES
    ('game-6 é', E'\\xe9', 'http://h:1'), ('game-7 é', 'c0ffee', E'http://\\xff\\xfe'), ('game-8 é', 'cafe', 'http://ñ:1')
) AS games (game_id, container, endpoint)
"""


async def test_a_database_without_an_encoding_may_hold_any_bytes(
    in_encoding: Callable[[str], str], skipped: Skipped
) -> None:
    async with opened(in_encoding("SQL_ASCII"), SQL_ASCII_ROWS, skipped) as store:
        for _ in range(2):
            assert await store.list_by_status("running") == [RuntimeRecord("game-8 é", "cafe", "http://ñ:1")]
    assert skipped.calls == [(2, "current_container_id is not UTF-8 for game game-6 é: b'\\xe9'")] * 2


async def test_a_character_that_utf_8_does_not_have_hides_no_game(
    in_encoding: Callable[[str], str], skipped: Skipped
) -> None:
    query = (
        "SELECT game_id, '' AS current_container_id, 'http://h:1' AS engine_endpoint "
        "FROM (VALUES (convert_from(E'\\\\xa9a8'::bytea, 'EUC_JP')), ('漢字')) AS games (game_id)"
    )
    async with opened(in_encoding("EUC_JP"), query, skipped) as store:
        assert await store.list_by_status("running") == [RuntimeRecord("漢字", "", "http://h:1")]
    assert [count for count, _ in skipped.calls] == [1]


async def test_a_note_that_is_not_utf_8_hides_no_game(in_encoding: Callable[[str], str], skipped: Skipped) -> None:
    query = (
        "SELECT 'game-7'::text AS game_id, 'c' AS current_container_id, 'u' AS engine_endpoint, E'\\xe9' AS probe, "
        "now() + '1h' AS silenced_until, E'caf\\xe9' AS silenced_why"
    )
    async with opened(in_encoding("SQL_ASCII"), query, skipped) as store:
        (record,) = await store.list_by_status("running")
    assert (record.silenced_why, record.probe) == ("caf\ufffd", '"not text"')
    assert record.silenced_until is not None


@pytest.mark.parametrize(
    ("value", "until"),
    [
        ("'infinity'::timestamptz", UNTIL_ENDED),
        ("'infinity'::timestamp", UNTIL_ENDED),
        ("'infinity'::date", UNTIL_ENDED),
        ("'-infinity'::timestamptz", None),
        ("'20000-01-01'::timestamptz", UNTIL_ENDED),
        ("'10000-01-01'::date", UNTIL_ENDED),
        ("'9999-12-31 23:00:00-05'::timestamptz", UNTIL_ENDED),
        ("'0044-03-15 12:00 BC'::timestamptz", None),
        ("'infinity'", UNTIL_ENDED),
    ],
)
@pytest.mark.parametrize("setting", ["", "?options=-cdatestyle%3DSQL,DMY", "?options=-ctimezone%3DAsia/Tokyo"])
async def test_a_silence_beyond_the_calendar_is_one_without_end_and_hides_no_game(
    postgres_url: str, skipped: Skipped, value: str, until: datetime | None, setting: str
) -> None:
    games = "(VALUES ('game-7', 'c0ffee', 'http://game-7:8080'), ('game-8', 'cafe', 'http://game-8:8080'))"
    query = (
        f"SELECT *, CASE game_id WHEN 'game-7' THEN {value} END AS silenced_until "
        f"FROM {games} AS games (game_id, current_container_id, engine_endpoint)"
    )
    async with opened(postgres_url + setting, query, skipped) as store:
        assert await store.list_by_status("running") == [replace(GAME_7, silenced_until=until), GAME_8]
    assert skipped.calls == [(0, "")]


async def test_values_of_other_columns_that_python_lacks_hide_no_game(postgres_url: str, skipped: Skipped) -> None:
    query = (
        "SELECT 'game-7'::text AS game_id, 'c'::text AS current_container_id, 'http://h:1'::text AS engine_endpoint, "
        "'24:00:00'::time AS opens, '100000000 years'::interval AS lasts, "
        "'[2026-01-01, infinity)'::tstzrange AS booked, ARRAY['infinity'::date] AS pauses, "
        "'infinity'::timestamptz AS silenced_until"
    )
    async with opened(postgres_url, query, skipped) as store:
        (record,) = await store.list_by_status("running")
    assert record == RuntimeRecord("game-7", "c", "http://h:1", silenced_until=UNTIL_ENDED)
    assert skipped.calls == [(0, "")]


async def test_a_record_that_did_not_change_is_the_same_object(url: str, platform: Execute, skipped: Skipped) -> None:
    async with opened(
        url, f"SELECT * FROM ({QUERY}) AS g ORDER BY (SELECT max(state) FROM games), game_id", skipped
    ) as store:
        listing = await store.list_by_status("running")
        assert await store.list_by_status("running") is listing
        platform("UPDATE games SET container = 'moved' WHERE id = 'game-8'")
        moved = await store.list_by_status("running")
        assert moved is not listing
        assert moved[0] is listing[0]
        assert moved[1].current_container_id == "moved"


async def test_another_order_is_not_a_change_and_a_replaced_row_is(
    url: str, platform: Execute, skipped: Skipped
) -> None:
    async with opened(url, f"{QUERY} ORDER BY state, id", skipped) as store:
        listing = await store.list_by_status("running")
        platform("UPDATE games SET state = 'a' WHERE id = 'game-8'")
        assert await store.list_by_status("running") is listing
        platform("DELETE FROM games WHERE id = 'game-8'")
        platform("INSERT INTO games SELECT * FROM games")
        assert await store.list_by_status("running") == [GAME_7, GAME_7]


@pytest.mark.proves("query-one-select")
@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM games",
        "INSERT INTO games VALUES ('x', 'x', 'x', 'x')",
        "UPDATE games SET id = 'x' RETURNING id AS game_id, container AS current_container_id, url AS engine_endpoint",
        f"{QUERY}; DELETE FROM games",
        "DROP TABLE games",
        "COMMIT; DELETE FROM games",
        "nonsense",
        "",
        "SELECT id AS game_id FROM no_such_table",
    ],
)
async def test_what_is_not_one_select_is_refused_and_writes_nothing(url: str, platform: Execute, query: str) -> None:
    assert await refusal(url, query)
    counted = platform("SELECT count(*) FROM games WHERE id LIKE 'game-%'")
    assert counted.fetchone() == (2,)  # type: ignore[attr-defined]


@pytest.mark.proves("query-read-only")
async def test_a_function_that_writes_is_refused(postgres_server: PostgresServer, postgres_url: str) -> None:
    with postgres_server.connect(postgres_url.rpartition("/")[2]) as platform:
        platform.execute("CREATE TABLE calls (number INTEGER)")
        body = "$$ INSERT INTO calls VALUES (1); SELECT 'game-7'::text $$"
        platform.execute(f"CREATE FUNCTION written() RETURNS text LANGUAGE sql AS {body}")
        query = "SELECT written() AS game_id, 'c' AS current_container_id, 'u' AS engine_endpoint"
        assert "the query writes: write a SELECT that changes nothing" in await refusal(postgres_url, query)
        assert platform.execute("SELECT count(*) FROM calls").fetchone() == (0,)


@pytest.mark.proves("query-timeout")
async def test_a_query_that_takes_too_long_is_cancelled(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_BEGIN_READING", "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = 100")
    begun = time.monotonic()
    with pytest.raises(StoreError, match=r"look what keeps the server busy") as raised:
        await SqlQuery.open(postgres_url, "SELECT pg_sleep(60)", Skipped())
    assert time.monotonic() - begun < 20
    assert not raised.value.permanent


async def test_a_dropped_table_is_an_error_and_is_listed_again_when_it_returns(
    url: str, platform: Execute, skipped: Skipped
) -> None:
    async with opened(url, QUERY, skipped) as store:
        platform("ALTER TABLE games RENAME TO elsewhere")
        with pytest.raises(StoreError, match=r"games"):
            await store.list_by_status("running")
        platform("ALTER TABLE elsewhere RENAME TO games")
        assert await store.list_by_status("running") == [GAME_7, GAME_8]


@pytest.mark.slow
@pytest.mark.proves("many-records-loop")
async def test_a_hundred_thousand_rows_do_not_block_the_event_loop(
    url: str, platform: Execute, skipped: Skipped
) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
    platform(f"INSERT INTO games {numbers} SELECT 'g' || i, 'c', 'http://10.0.0.1:8080', 'running' FROM n")
    async with opened(url, QUERY, skipped) as store:
        listing = await store.list_by_status("running")
        assert len(listing) == 100_002
        stalls = [await longest_stall_during(store, listing) for _ in range(5)]
        assert min(stalls) < 1 / 6, stalls


async def longest_stall_during(store: SqlQuery, listing: list[RuntimeRecord]) -> float:
    """Returns the longest delay of a 1 ms timer while the unchanged `listing` was read again, as a share of that time.

    A share, because a busy machine delays the timer and the reading alike.
    """
    begun_reading = time.monotonic()
    reading = asyncio.create_task(store.list_by_status("running"))
    longest = 0.0
    while not reading.done():
        begun = time.monotonic()
        await asyncio.sleep(0.001)
        longest = max(longest, time.monotonic() - begun - 0.001)
    assert await reading is listing
    return longest / (time.monotonic() - begun_reading)


UNTIL = datetime(2026, 11, 25, 14, 0, tzinfo=UTC)


@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize(
    ("columns", "probe", "until"),
    [
        ('\'{"path": "/ready"}\' AS probe', '{"path": "/ready"}', None),
        ("'2026-11-25 14:00:00' AS silenced_until, 'deploy' AS silenced_why", "", UNTIL),
        ("'2026-11-25T15:00:00+01:00' AS silenced_until", "", UNTIL),
        ("NULL AS probe, NULL AS silenced_until, NULL AS silenced_why", "", None),
        ("'soon' AS silenced_until", "", None),
        ("'no json' AS probe", "no json", None),
    ],
)
async def test_settings_and_silence_may_be_columns_and_invalid_ones_hide_no_game(
    url: str, skipped: Skipped, columns: str, probe: str, until: datetime | None
) -> None:
    async with opened(url, f"SELECT *, {columns} FROM ({QUERY}) AS mine", skipped) as store:
        records = await store.list_by_status("running")
        assert [record.game_id for record in records] == ["game-7", "game-8"]
        assert {(record.probe, record.silenced_until) for record in records} == {(probe, until)}
        assert await store.list_by_status("running") is records


async def test_a_database_s_own_json_and_timestamps_are_read(url: str, platform: Execute, skipped: Skipped) -> None:
    if url.startswith("sqlite"):
        pytest.skip("SQLite has neither")
    platform("ALTER TABLE games ADD COLUMN settings jsonb, ADD COLUMN quiet timestamptz")
    platform("UPDATE games SET settings = '{\"every\": 2}', quiet = '2026-11-25 14:00:00Z' WHERE id = 'game-7'")
    query = QUERY.replace("SELECT ", "SELECT settings AS probe, quiet AS silenced_until, ")
    async with opened(url, query, skipped) as store:
        by_id = {record.game_id: record for record in await store.list_by_status("running")}
    assert parse_settings(by_id["game-7"].probe).every == 2
    assert by_id["game-7"].silenced_until == UNTIL
    assert by_id["game-8"] == GAME_8


@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize("value", ["'{}'::jsonb", "'[1]'::jsonb", "ARRAY['x']"])
async def test_silences_that_are_mappings_or_lists_hide_no_game(url: str, skipped: Skipped, value: str) -> None:
    if url.startswith("sqlite"):
        pytest.skip("SQLite has neither")
    query = QUERY.replace("SELECT ", f"SELECT {value} AS silenced_until, {value} AS silenced_why, ")
    async with opened(url, query, skipped) as store:
        records = await store.list_by_status("running")
        assert records == [GAME_7, GAME_8]
        assert await store.list_by_status("running") is records


@pytest.mark.usefixtures("platform")
async def test_labels_may_be_a_json_column_or_columns_of_their_own_which_win(url: str, skipped: Skipped) -> None:
    columns = """'{"team": "eu", "tier": "1"}' AS labels, 'us' AS label_team, 7 AS label_shelf, NULL AS label_rack"""
    async with opened(url, QUERY.replace("SELECT ", f"SELECT {columns}, "), skipped) as store:
        records = await store.list_by_status("running")
        assert [record.labels for record in records] == [{"team": "us", "tier": "1", "shelf": "7"}] * 2
        assert records[0].labels is records[1].labels
        assert await store.list_by_status("running") is records


@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ("'team=eu' AS labels, 'us' AS label_region", ""),
        ("'us' AS label_region, 1.5 AS label_tier", 'label "tier": its value is not text: quote it'),
        ("'us' AS label_region, 'a' || CAST(X'0A' AS TEXT) AS label_tier", "control character"),
    ],
)
async def test_labels_that_may_not_be_hide_no_game_and_no_other_label(
    url: str, skipped: Skipped, columns: str, fault: str
) -> None:
    if "X'" in columns and not url.startswith("sqlite"):
        columns = columns.replace("CAST(X'0A' AS TEXT)", "chr(10)")
    async with opened(url, QUERY.replace("SELECT ", f"SELECT {columns}, "), skipped) as store:
        records = await store.list_by_status("running")
    assert [record.labels for record in records] == [{"region": "us"}] * 2
    assert fault in fault_of(records[0].labels)


async def test_a_database_s_own_json_is_read_as_labels(url: str, platform: Execute, skipped: Skipped) -> None:
    if url.startswith("sqlite"):
        pytest.skip("SQLite has none")
    platform("ALTER TABLE games ADD COLUMN tags jsonb")
    platform("UPDATE games SET tags = '{\"team\": \"eu\"}' WHERE id = 'game-7'")
    async with opened(url, QUERY.replace("SELECT ", "SELECT tags AS labels, "), skipped) as store:
        by_id = {record.game_id: record.labels for record in await store.list_by_status("running")}
    assert by_id == {"game-7": {"team": "eu"}, "game-8": {}}
