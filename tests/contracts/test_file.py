"""Runtime records in a file keep their port's promises, in each form that the file may have."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from healthprobe.adapters.file import FileRecords
from healthprobe.domain.record import RuntimeRecord
from healthprobe.testing.contracts import RecordSettingsContract, RecordStoreContract
from healthprobe.testing.contracts.records import Edit


class FileContract(RecordStoreContract, RecordSettingsContract):
    file_name: str
    written: Callable[[Any], str]

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / self.file_name
        path.write_text("[]")
        return path

    @pytest.fixture
    async def store(self, path: Path) -> FileRecords:
        return await FileRecords.open(path)

    @pytest.fixture
    def edit(self, path: Path) -> Edit:
        async def edit(records: Sequence[RuntimeRecord]) -> None:
            draft = path.with_suffix(".draft")
            documents = [{**asdict(record), "labels": dict(record.labels)} for record in records]
            draft.write_text(type(self).written(documents))
            draft.replace(path)

        return edit


class TestJsonFile(FileContract):
    file_name = "engines.json"
    written = staticmethod(lambda records: json.dumps(records, default=str))


class TestYamlFile(FileContract):
    file_name = "engines.yaml"
    written = staticmethod(lambda records: yaml.dump(records, Dumper=yaml.CSafeDumper, allow_unicode=True))
