"""A file of JSON lines keeps the promises of a publisher."""

import json
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from healthprobe.adapters.file import FilePublisher
from healthprobe.adapters.stdout import line_of
from healthprobe.testing.contracts import PublisherContract
from healthprobe.testing.contracts.publisher import Delivered


class TestFilePublisher(PublisherContract):
    @pytest.fixture
    async def publisher(self, tmp_path: Path) -> AsyncIterator[FilePublisher]:
        publisher = await FilePublisher.open(tmp_path / "events.jsonl", line_of)
        yield publisher
        await publisher.aclose()

    @pytest.fixture
    def delivered(self, tmp_path: Path) -> Delivered:
        async def delivered() -> Sequence[dict[str, Any]]:
            lines = (tmp_path / "events.jsonl").read_text().split("\n")[:-1]
            return [json.loads(line) for line in lines]

        return delivered

    @pytest.fixture
    async def unreachable(self, tmp_path: Path) -> AsyncIterator[FilePublisher]:
        folder = tmp_path / "unmounted"
        folder.mkdir()
        publisher = await FilePublisher.open(folder / "events.jsonl", line_of)
        shutil.rmtree(folder)
        yield publisher
        await publisher.aclose()
