"""Runtime records in a key-value bucket of JetStream: watched, so that a change is known when it happens."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Self

from healthprobe.adapters.nats.bucket_watch import Bucket, Watch
from healthprobe.adapters.nats.connection import JetStream, Refused, Unanswered
from healthprobe.adapters.nats.record_values import Contents, Unusable, record_of, value_of
from healthprobe.adapters.nats.streams import token_of
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ConfigurationError, StoreError

_TRIES = 10
"""How often a key is read again that somebody else has edited meanwhile."""


class JetStreamRecords:
    """The records of a bucket, which any NATS client can edit. Made by `open`, ended by `aclose`.

    Each key has one record, as a JSON object with its fields: `engine_endpoint`, and where they are needed
    `current_container_id`, `status`, and `game_id`, without which the key is the game's id. Where two keys name one
    game, both are listed, in an order that is the same for every instance. A value that is no record is left out until
    it is mended.
    """

    def __init__(self, bucket: Bucket, on_skipped: Callable[[int, str], None]) -> None:
        self._bucket = bucket
        self._on_skipped = on_skipped
        self._contents = Contents()
        self._listeners: list[Callable[[], None]] = []
        self._watch = Watch(bucket, self._contents, self._tell)

    @classmethod
    async def open(cls, stream: JetStream, on_skipped: Callable[[int, str], None], *, create: bool = True) -> Self:
        """Read the bucket that the address of `stream` names, or `PREFIX_runtime_records`, and watch it from now on.

        Where it is missing, it is made with `create`. `on_skipped` is told at each listing how many values are no
        records, and what is wrong with the first. Raises ConfigurationError where something must be changed, StoreError
        where JetStream is away for now.
        """
        bucket = Bucket(stream)
        store = cls(bucket, on_skipped)
        try:
            if create:
                await bucket.ensure()
            await store._watch.start()
        except BaseException as error:
            await store.aclose()
            told = bucket.plain_error(error) if isinstance(error, Unanswered | Refused) else error
            if isinstance(told, StoreError):
                raise (ConfigurationError(str(told)) if told.permanent else told) from error
            raise
        return store

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        """The records that have `status`, out of memory: the very same list again as long as they have not changed.

        Raises StoreError where we have not heard of the bucket for too long to know.
        """
        self._watch.vouch()
        records = await self._contents.listing(status)
        self._tell_of_faults()
        return records

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call `tell` after the records have changed, once for all that changed together."""
        self._listeners.append(tell)

    async def list_all(self) -> list[RuntimeRecord]:
        """Every record, whatever its status, by game id. Raises StoreError."""
        self._watch.vouch()
        entries = await self._contents.entries()
        self._tell_of_faults()
        return [record for _, record in sorted(entries, key=lambda entry: (entry[1].game_id, entry[0]))]

    async def put(self, records: Sequence[RuntimeRecord]) -> None:
        """Put these records in, or in the place of those of the same games; of two for one game the later one.

        It is no transaction: after a StoreError some of them may stand there. To put them once more does no harm.
        """
        values = {record.game_id: _value_of(record) for record in records}
        games = await self._games()
        keys = _by_game(games, values)
        puts: dict[str, bytes] = {}
        deletes: list[str] = []
        for game_id, value in values.items():
            key, *others = keys.get(game_id) or [_free_key(game_id, games)]
            games[key] = game_id
            puts[key] = value
            deletes += others
        await self._edit(puts, deletes)

    async def remove(self, game_ids: Iterable[str]) -> int:
        """Remove the records of these games; returns how many there were. It is no transaction, as with `put`."""
        found = _by_game(await self._games(), set(game_ids))
        deletes = [key for keys in found.values() for key in keys]
        await self._edit({}, deletes)
        return len(deletes)

    async def silence(self, game_ids: Iterable[str], until: datetime | None, why: str = "") -> set[str]:
        """Silence these games until then, or with None end their silence; returns those that are there.

        What somebody else edits meanwhile is read again, and nothing of it is lost. It is no transaction, as with
        `put`.
        """
        found = _by_game(await self._games(), set(game_ids))
        last, silenced = 0, set[str]()
        try:
            for game_id, keys in found.items():
                for key in keys:
                    if (sequence := await self._silence(key, until, why)) is not None:
                        last = max(last, sequence)
                        silenced.add(game_id)
        except (Unanswered, Refused) as error:
            raise self._bucket.plain_error(error) from error
        await self._watch.reach(last)
        return silenced

    async def aclose(self) -> None:
        """End the watch; the connection stays."""
        await self._watch.aclose()

    async def _games(self) -> dict[str, str]:
        """Which game stands under which key. Raises StoreError."""
        self._watch.vouch()
        return {key: record.game_id for key, record in await self._contents.entries()}

    async def _silence(self, key: str, until: datetime | None, why: str) -> int | None:
        """The sequence of the change, or None where the key is gone. Raises StoreError, Unanswered or Refused."""
        for _ in range(_TRIES):
            entry = await self._bucket.entry(key)
            if entry is None:
                return None
            try:
                record = record_of(key, entry.value)
            except Unusable as fault:
                raise StoreError(f"it cannot be silenced: {fault}", permanent=True) from fault
            told = why if until is not None else ""
            value = _value_of(replace(record, silenced_until=until, silenced_why=told))
            if (sequence := await self._bucket.replace(key, value, entry)) is not None:
                return sequence
        raise StoreError(f"the key {key!r} is edited all the time: try again")

    async def _edit(self, values: dict[str, bytes], deleted: Sequence[str]) -> None:
        """Put and delete, and wait until we see it ourselves. Raises StoreError."""
        try:
            last = max(await self._bucket.put(values), await self._bucket.delete(deleted))
        except (Unanswered, Refused) as error:
            raise self._bucket.plain_error(error) from error
        await self._watch.reach(last)

    def _tell(self) -> None:
        for tell in self._listeners:
            tell()

    def _tell_of_faults(self) -> None:
        faults = self._contents.faults
        self._on_skipped(len(faults), next(iter(faults.values()), ""))


def _by_game(games: Mapping[str, str], wanted: Container[str]) -> dict[str, list[str]]:
    """The keys of each game that is wanted and stands somewhere, in order."""
    keys: dict[str, list[str]] = {}
    for key, game_id in games.items():
        if game_id in wanted:
            keys.setdefault(game_id, []).append(key)
    return keys


def _free_key(game_id: str, games: Mapping[str, str]) -> str:
    """The key for a game that stands nowhere: its token, unless somebody has put another game there."""
    key = token_of(game_id)
    while key in games:
        key += "_"
    return key


def _value_of(record: RuntimeRecord) -> bytes:
    """What is put for `record`. Raises StoreError for what nobody could read as one."""
    try:
        value = value_of(record)
        record_of(token_of(record.game_id), value)
    except (Unusable, UnicodeEncodeError) as error:
        raise StoreError(f"{record.game_id!r} cannot be put: {error}", permanent=True) from error
    return value
