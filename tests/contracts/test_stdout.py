"""Standard output keeps the promises of a publisher."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from healthprobe.adapters.stdout import StdoutPublisher
from healthprobe.testing.contracts import PublisherContract
from healthprobe.testing.contracts.publisher import Delivered


class TestStdoutPublisher(PublisherContract):
    @pytest.fixture
    def publisher(self) -> StdoutPublisher:
        return StdoutPublisher()

    @pytest.fixture
    def delivered(self, capfd: pytest.CaptureFixture[str]) -> Delivered:
        written: list[dict[str, Any]] = []

        async def delivered() -> Sequence[dict[str, Any]]:
            written.extend(json.loads(line) for line in capfd.readouterr().out.split("\n")[:-1])
            return written

        return delivered

    @pytest.fixture
    def unreachable(self) -> StdoutPublisher:
        def write(line: str) -> None:
            raise BrokenPipeError(32, "Broken pipe")

        return StdoutPublisher(write)
