"""What a worker refuses to be made of, and how clearly it says so."""

from __future__ import annotations

import math

import pytest

from healthprobe.ports import ConfigurationError
from healthprobe.testing.stage import Stage
from healthprobe.worker.config import WorkerConfig
from healthprobe.worker.worker import Worker


@pytest.mark.parametrize("name", ["records", "log", "prober"])
async def test_a_missing_collaborator_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^new health probe worker: no .*: {name} is None$") as refused:
        Worker(**Stage().arguments(**{name: None}))
    assert refused.value.permanent
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["interval", "probe_timeout", "failures_threshold"])
@pytest.mark.parametrize("number", [0, -1, -0.5, math.nan, math.inf, -math.inf])
async def test_a_number_that_is_not_positive_is_named_with_what_it_was(name: str, number: float) -> None:
    with pytest.raises(
        ConfigurationError, match=f"^new health probe worker: {name} must be positive, and is {number}$"
    ):
        Worker(**Stage().arguments(**{name: number}))


async def test_optional_arguments_have_defaults() -> None:
    stage = Stage()
    worker = Worker(records=stage.records, log=stage.log, prober=stage.prober)
    await worker.tick()
    assert worker.config == WorkerConfig()
