"""The log lines, with the reference's words, keys and levels, so that what people grep for is still there."""

from __future__ import annotations

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from healthprobe.domain.outcome import HEALTHY, Failed
from healthprobe.domain.shard import shard_of
from healthprobe.testing.leases import ScriptedLeases
from healthprobe.testing.prober import UNAVAILABLE, Answer
from healthprobe.testing.stage import Stage, game, run_for, ticks
from healthprobe.worker.worker import Worker

WORKER = "rtmanager.healthprobe"


def line(log_level: str, event: str, **keys: object) -> EventDict:
    return {"log_level": log_level, "event": event, "worker": WORKER, **keys}


async def test_each_failure_below_the_threshold_is_a_debug_line_and_the_event_is_an_info_line() -> None:
    stage = Stage(a=UNAVAILABLE)
    await ticks(Worker(**stage.arguments()), 3)
    failure = {"game_id": "a", "threshold": 3, "err": "unexpected status 503"}
    assert stage.lines == [
        line("debug", "probe failure", consecutive_failures=1, **failure),
        line("debug", "probe failure", consecutive_failures=2, **failure),
        line("info", "probe event published", game_id="a", container_id="c1", event_type="probe_failed"),
    ]


async def test_failures_after_the_event_count_on_in_debug_lines() -> None:
    stage = Stage(a=UNAVAILABLE)
    await ticks(Worker(**stage.arguments()), 5)
    assert [each["consecutive_failures"] for each in stage.lines_of("probe failure")] == [1, 2, 4, 5]


async def test_a_recovery_is_an_info_line() -> None:
    stage = Stage(a=[UNAVAILABLE] * 3 + [HEALTHY])
    await ticks(Worker(**stage.arguments()), 4)
    recovered = line("info", "probe event published", game_id="a", container_id="c1", event_type="probe_recovered")
    assert stage.lines[-1] == recovered


async def test_healthy_engines_are_not_worth_a_line() -> None:
    stage = Stage(a=HEALTHY)
    await ticks(Worker(**stage.arguments()), 10)
    assert stage.lines == []


async def test_a_log_that_is_away_is_one_error_line_with_the_references_keys_and_one_line_when_it_is_back() -> None:
    stage = Stage(a=UNAVAILABLE)
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    stage.log.unavailable = True
    await ticks(worker, 5)
    stage.log.unavailable = False
    await worker.tick()
    (away,) = (each for each in stage.lines if each["log_level"] == "error")
    keys = {"game_id": "a", "container_id": "c1", "event_type": "probe_failed"}
    assert away.items() >= line("error", "publish health event", **keys).items()
    assert away["err"] == "it was switched off; switch it on again"
    assert len(stage.lines_of("the log takes health events again")) == 1


async def test_each_outage_of_the_log_is_logged_and_so_is_its_end() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments(failures_threshold=1))
    await worker.tick()
    answers: list[Answer] = [UNAVAILABLE, HEALTHY, UNAVAILABLE]
    for outage, answer in enumerate(answers, start=1):
        stage.prober.script("a", answer)
        stage.log.unavailable = True
        await ticks(worker, 4)
        stage.log.unavailable = False
        await ticks(worker, 2)
        assert len(stage.lines_of("publish health event")) == outage
        assert len(stage.lines_of("the log takes health events again")) == outage


async def test_a_log_is_not_logged_as_back_because_another_instance_has_what_waited() -> None:
    stage = Stage(a=[HEALTHY, *[UNAVAILABLE] * 3, HEALTHY])
    tenure = ScriptedLeases()
    worker = Worker(**stage.arguments(shards=tenure))
    await worker.tick()
    stage.log.unavailable = True
    await ticks(worker, 3)
    assert len(stage.lines_of("publish health event")) == 1
    tenure.lose(shard_of("a"))
    await ticks(worker, 2)
    assert stage.lines_of("the log takes health events again") == []
    assert len(stage.lines_of("nothing waits for the log any more")) == 1


async def test_a_store_that_is_away_is_one_warning_with_the_references_words() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments())
    await worker.tick()
    stage.records.unavailable = True
    await ticks(worker, 3)
    (warning,) = stage.lines
    expected = line("warning", "list running records", err="it was switched off; switch it on again")
    assert warning.items() >= expected.items()


async def test_a_run_logs_its_configuration_at_its_start_and_that_it_stopped() -> None:
    stage = Stage(a=HEALTHY)
    await run_for(1.0, Worker(**stage.arguments(interval=1.5, probe_timeout=0.5)).run())
    assert stage.lines == [
        line(
            "info",
            "health probe worker started",
            interval="1.5s",
            probe_timeout="0.5s",
            failures_threshold=3,
            max_concurrency=16,
        ),
        line("info", "health probe worker stopped"),
    ]


@pytest.mark.proves("endpoint-credentials")
async def test_credentials_of_an_endpoint_are_in_no_line_and_no_event() -> None:
    stage = Stage(a=Failed(0, "cannot reach http://user:s3cr3t@engine:80/"))
    stage.records.put(game("a", endpoint="http://user:s3cr3t@engine:80"))
    stage.records.put(game("b", endpoint="http://user:s3cr3t@engine:99999"))
    await ticks(Worker(**stage.arguments()), 3)
    assert len(stage.log.events) == 2
    assert "s3cr3t" not in repr(stage.lines) + repr(stage.log.events)


async def test_without_a_logger_of_its_own_it_writes_to_structlogs() -> None:
    stage = Stage(a=UNAVAILABLE)
    with capture_logs() as lines:
        await ticks(Worker(**stage.arguments(logger=None)), 3)
    assert [each["event"] for each in lines] == ["probe failure", "probe failure", "probe event published"]
    assert {each["worker"] for each in lines} == {WORKER}


async def test_a_logger_that_is_bound_keeps_what_it_was_bound_with() -> None:
    stage = Stage(a=UNAVAILABLE)
    await Worker(**stage.arguments(logger=stage.logger.bind(shard=7))).tick()
    assert stage.lines[0]["shard"] == 7


@pytest.mark.parametrize("level", ["info", "warning"])
async def test_a_logger_that_filters_debug_lines_is_obeyed(level: str) -> None:
    stage = Stage(a=UNAVAILABLE)
    filtering = structlog.make_filtering_bound_logger(level)
    logger = structlog.wrap_logger(None, processors=[stage.capture], wrapper_class=filtering)
    await ticks(Worker(**stage.arguments(logger=logger)), 3)
    assert len(stage.lines) == (1 if level == "info" else 0)
