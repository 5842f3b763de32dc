"""The listing: the running records, afresh at every tick, or the last good list where the store cannot tell."""

from __future__ import annotations

import asyncio

from healthprobe.domain.record import RUNNING, RuntimeRecord
from healthprobe.ports import RuntimeRecordStore, StoreError, Telemetry
from healthprobe.worker.bystanders import Voice
from healthprobe.worker.fault import FAULTS, LONGEST_CALL, plainly


class Listing:
    """Asks the store for the running records, with patience but never for ever.

    A store that fails or does not answer within `patience` seconds leaves the last good list in force: the prober must
    not go blind because a database does. It says so once, and once when the store is back.
    """

    def __init__(self, store: RuntimeRecordStore, telemetry: Telemetry, logger: Voice, patience: float) -> None:
        self._store = store
        self._telemetry = telemetry
        self._logger = logger
        self._patience = patience
        self._no_answer = f"the store has not answered for {patience:g}s"
        self._asked: asyncio.Task[list[RuntimeRecord]] | None = None
        self._last_good: list[RuntimeRecord] = []
        self._complaint: str | None = None

    async def records(self) -> list[RuntimeRecord]:
        """The running records; the very same list object where nothing has changed."""
        if self._asked is None:
            self._asked = asyncio.create_task(self._ask())
        await asyncio.wait({self._asked}, timeout=self._patience)
        if not self._asked.done():
            self._complain(self._no_answer)
            return self._last_good
        asked, self._asked = self._asked, None
        try:
            self._last_good = asked.result()
        except FAULTS as error:
            self._complain(plainly(error))
        else:
            self._say_that_it_is_back()
        return self._last_good

    async def _ask(self) -> list[RuntimeRecord]:
        try:
            async with asyncio.timeout(LONGEST_CALL):
                return await self._store.list_by_status(RUNNING)
        except TimeoutError:
            raise StoreError(self._no_answer) from None

    async def aclose(self) -> None:
        """End a question that the store still owes an answer to."""
        if self._asked is not None:
            self._asked.cancel()
            await asyncio.gather(self._asked, return_exceptions=True)
            self._asked = None

    def _complain(self, cause: str) -> None:
        if cause != self._complaint:
            self._complaint = cause
            self._logger.warning("list running records", err=cause, games_in_force=len(self._last_good))
        self._telemetry.record_listing_error()

    def _say_that_it_is_back(self) -> None:
        if self._complaint is not None:
            self._complaint = None
            self._logger.info("running records are listed again", games=len(self._last_good))
