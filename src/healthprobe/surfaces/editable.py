"""Editable records: what the stores that are edited from here have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from healthprobe.domain.record import RuntimeRecord


class EditableRecords(Protocol):
    """A store of runtime records that is edited by hand. Every method raises StoreError."""

    async def list_all(self) -> list[RuntimeRecord]:
        """Every record, whatever its status, by game id."""
        ...

    async def put(self, records: Sequence[RuntimeRecord]) -> None:
        """Put these records in, or in the place of those of the same games; of two for one game the later one."""
        ...

    async def remove(self, game_ids: Iterable[str]) -> int:
        """Remove the records of these games; returns how many there were."""
        ...

    async def silence(self, game_ids: Iterable[str], until: datetime | None, why: str = "") -> set[str]:
        """Silence these games until then, or with None end their silence; returns those that are there."""
        ...
