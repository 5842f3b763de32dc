"""The composition: each URL its adapter, each database opened once, and no more lanes than the system can bear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from healthprobe.ports import ConfigurationError
from healthprobe.surfaces.composition import LOGS, PLANNED, PUBLISHERS, RECORDS, Adapters, composed, shown
from healthprobe.surfaces.durations import Duration
from healthprobe.surfaces.settings import Settings
from healthprobe.surfaces.tally import Tally


async def test_records_and_log_in_one_file_share_its_database_however_it_is_spelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    adapters = Adapters()
    try:
        await adapters.records("sqlite:games.db")
        first = await adapters.database("sqlite:games.db")
        await adapters.log(f"sqlite:{tmp_path}/../{tmp_path.name}/games.db")
        assert await adapters.database(f"sqlite:{tmp_path / 'games.db'}") is first
        assert await adapters.database("sqlite:other.db") is not first
    finally:
        await adapters.aclose()


async def test_what_is_planned_is_not_here_yet_and_what_is_here_is_not_planned() -> None:
    adapters = Adapters()
    for scheme in PLANNED:
        with pytest.raises(ConfigurationError, match=f"{scheme} is not supported by this version"):
            await adapters.log(f"{scheme}://host")
    assert not PLANNED & {*RECORDS, *LOGS, *PUBLISHERS}


def test_credentials_of_a_url_are_not_shown() -> None:
    assert shown("postgresql://user:secret@db/games") == "postgresql://***@db/games"
    assert shown("sqlite:folder@home/games.db") == "sqlite:folder@home/games.db"


@pytest.mark.parametrize(("wanted", "warnings"), [(10**9, 1), (4, 0), (None, 0)])
async def test_more_lanes_than_open_files_are_cut_with_a_warning(
    tmp_path: Path, wanted: int | None, warnings: int
) -> None:
    written = LogCapture()
    logger: Any = structlog.wrap_logger(structlog.PrintLogger(), processors=[written])
    database = f"sqlite:{tmp_path / 'games.db'}"
    settings = Settings(records=database, log=database, max_concurrency=wanted)
    async with composed(settings, telemetry=Tally(), logger=logger):
        assert [line["wanted"] for line in written.entries] == [wanted] * warnings


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ({"timeout": Duration(5)}, "--timeout 5s is not shorter than --interval 5s"),
        ({"failures": 0}, "--failures 0 is below 1"),
        ({"max_concurrency": 0}, "--max-concurrency 0 is below 1"),
    ],
)
def test_settings_that_cannot_work_together_are_refused(wrong: dict[str, Any], advice: str) -> None:
    with pytest.raises(ConfigurationError, match=advice):
        Settings(**wrong)
