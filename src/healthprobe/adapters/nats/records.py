"""Runtime records in a key-value bucket of JetStream, which is watched."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Self

from healthprobe.adapters.nats.bucket import Bucket
from healthprobe.adapters.nats.bucket_watch import BucketWatch
from healthprobe.adapters.nats.connection import JetStream, Refused, Unanswered
from healthprobe.adapters.nats.record_values import InvalidValue, RecordIndex, decode_record, encode_record
from healthprobe.adapters.nats.streams import token_of
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ConfigurationError, StoreError

_TRIES = 10
"""Attempts to silence a key that other clients edit at the same time."""


class JetStreamRecords:
    """The records of a bucket, which any NATS client can edit. Made by `open`, ended by `aclose`.

    The value of each key is a record as a JSON object: `engine_endpoint`, and as needed `current_container_id`,
    `status` and `game_id`, without which the key is the game's id. If two keys name one game, both are listed, in the
    same order by every instance. A value that is no record is left out until it is corrected.
    """

    def __init__(self, bucket: Bucket, on_skipped: Callable[[int, str], None]) -> None:
        self._bucket = bucket
        self._on_skipped = on_skipped
        self._index = RecordIndex()
        self._listeners: list[Callable[[], None]] = []
        self._watch = BucketWatch(bucket, self._index, self._notify)

    @classmethod
    async def open(cls, stream: JetStream, on_skipped: Callable[[int, str], None], *, create: bool = True) -> Self:
        """Reads the bucket that the address of `stream` names, or `PREFIX_runtime_records`, and watches it from now on.

        Creates it if it is missing and `create` is true. Calls `on_skipped` at each listing with the number of values
        that are no records, and what is wrong with the first. Raises ConfigurationError where something must be
        changed, StoreError where JetStream is unavailable.
        """
        bucket = Bucket(stream)
        store = cls(bucket, on_skipped)
        try:
            if create:
                await bucket.ensure()
            await store._watch.start()
        except BaseException as error:
            await store.aclose()
            failure = bucket.store_error(error) if isinstance(error, Unanswered | Refused) else error
            if isinstance(failure, StoreError):
                raise (ConfigurationError(str(failure)) if failure.permanent else failure) from error
            raise
        return store

    @property
    def left_out(self) -> frozenset[str]:
        return self._index.left_out

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        """Returns the records that have `status`: the same list object as long as they have not changed.

        Raises StoreError if the records in memory may be out of date.
        """
        self._watch.raise_if_stale()
        records = await self._index.listing(status)
        self._report_faults()
        return records

    def on_change(self, listener: Callable[[], None]) -> None:
        """Calls `listener` after the records have changed, once for all that changed together."""
        self._listeners.append(listener)

    async def list_all(self) -> list[RuntimeRecord]:
        """Returns every record, whatever its status, by game id. Raises StoreError."""
        self._watch.raise_if_stale()
        entries = await self._index.entries()
        self._report_faults()
        return [record for _, record in sorted(entries, key=lambda entry: (entry[1].game_id, entry[0]))]

    async def put(self, records: Sequence[RuntimeRecord]) -> None:
        """Puts records, in the place of those of the same games; of two for one game the later one.

        It is no transaction: after a StoreError some may have been put. Putting them again does no harm.
        """
        values = {record.game_id: _encoded(record) for record in records}
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
        """Removes the records of these games; returns how many there were. It is no transaction, as with `put`."""
        found = _by_game(await self._games(), set(game_ids))
        deletes = [key for keys in found.values() for key in keys]
        await self._edit({}, deletes)
        return len(deletes)

    async def silence(self, game_ids: Iterable[str], until: datetime | None, why: str = "") -> set[str]:
        """Silences games until then, or with None ends their silence; returns those that exist.

        Nothing that another client edits at the same time is lost. It is no transaction, as with `put`.
        """
        found = _by_game(await self._games(), set(game_ids))
        last, silenced = 0, set[str]()
        try:
            for game_id, keys in found.items():
                for key in keys:
                    if (revision := await self._silence(key, until, why)) is not None:
                        last = max(last, revision)
                        silenced.add(game_id)
        except (Unanswered, Refused) as error:
            raise self._bucket.store_error(error) from error
        await self._watch.wait_for(last)
        return silenced

    async def aclose(self) -> None:
        """Ends the watch; the connection stays open."""
        await self._watch.aclose()

    async def _games(self) -> dict[str, str]:
        """Returns the game of each key. Raises StoreError."""
        self._watch.raise_if_stale()
        return {key: record.game_id for key, record in await self._index.entries()}

    async def _silence(self, key: str, until: datetime | None, why: str) -> int | None:
        """Returns the new revision, or None if the key is gone. Raises StoreError, Unanswered or Refused."""
        for _ in range(_TRIES):
            entry = await self._bucket.entry(key)
            if entry is None:
                return None
            try:
                record = decode_record(key, entry.value)
            except InvalidValue as fault:
                raise StoreError(f"it cannot be silenced: {fault}", permanent=True) from fault
            reason = why if until is not None else ""
            value = _encoded(replace(record, silenced_until=until, silenced_why=reason))
            if (revision := await self._bucket.replace(key, value, entry)) is not None:
                return revision
        raise StoreError(f"the key {key!r} is edited all the time: try again")

    async def _edit(self, values: dict[str, bytes], deleted: Sequence[str]) -> None:
        """Puts and deletes, and waits until the watch has seen it. Raises StoreError."""
        try:
            last = max(await self._bucket.put(values), await self._bucket.delete(deleted))
        except (Unanswered, Refused) as error:
            raise self._bucket.store_error(error) from error
        await self._watch.wait_for(last)

    def _notify(self) -> None:
        for listener in self._listeners:
            listener()

    def _report_faults(self) -> None:
        faults = self._index.faults
        self._on_skipped(len(faults), next(iter(faults.values()), ""))


def _by_game(games: Mapping[str, str], wanted: Container[str]) -> dict[str, list[str]]:
    """Returns the keys of each wanted game that has any, in order."""
    keys: dict[str, list[str]] = {}
    for key, game_id in games.items():
        if game_id in wanted:
            keys.setdefault(game_id, []).append(key)
    return keys


def _free_key(game_id: str, games: Mapping[str, str]) -> str:
    """Returns a key for a game that has none: its token, unless another game is under that."""
    key = token_of(game_id)
    while key in games:
        key += "_"
    return key


def _encoded(record: RuntimeRecord) -> bytes:
    """Returns the value for `record`. Raises StoreError for one that could not be read back."""
    try:
        value = encode_record(record)
        decode_record(token_of(record.game_id), value)
    except (InvalidValue, UnicodeEncodeError) as error:
        raise StoreError(f"{record.game_id!r} cannot be put: {error}", permanent=True) from error
    return value
