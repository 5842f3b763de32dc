"""Documents: what alarms and silences keep with the events."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select

from healthprobe.adapters.sql.database import SqlDatabase
from healthprobe.adapters.sql.schema import documents as table
from healthprobe.adapters.sql.statements import chunks, upsert
from healthprobe.domain.document import document_fault, text_of
from healthprobe.ports import ContentError, LogError


class SqlDocuments:
    """The documents in a `SqlDatabase`. Every method raises LogError."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def documents(self, kind: str) -> Mapping[str, str]:
        """Returns all documents of `kind`, by key, with U+FFFD for what is no character in an altered one."""
        if document_fault(kind, {}):
            return {}
        return await self._database.read(partial(_documents, kind), LogError)

    async def put_documents(self, kind: str, documents: Mapping[str, str | None]) -> None:
        """Stores documents, or removes those that are None, in one transaction that is on the disk when this returns.

        Raises ContentError, and stores none, if it cannot hold one of them.
        """
        if fault := document_fault(kind, documents):
            raise ContentError(f"{self._database.name}: {fault}")
        if documents:
            await self._database.write(partial(_put, kind, documents), LogError)


_OF_KIND = select(table.c.key, table.c.document).where(table.c.kind == bindparam("kind")).order_by(table.c.key)
_REMOVE = delete(table).where(
    table.c.kind == bindparam("of_kind"), table.c.key.in_(bindparam("removed", expanding=True))
)


def _documents(kind: str, connection: Connection) -> dict[str, str]:
    """Reads rows whose key is text last: no altered key, which may read like another, hides the one that it is like."""
    rows = connection.execute(_OF_KIND, {"kind": kind}).all()
    return {text_of(row.key): text_of(row.document) for row in sorted(rows, key=_has_text_as_key)}


def _put(kind: str, documents: Mapping[str, str | None], connection: Connection) -> None:
    stored = {key: document for key, document in documents.items() if document is not None}
    for chunk in chunks(list(stored)):
        upsert(connection, table, [{"kind": kind, "key": key, "document": stored[key]} for key in chunk])
    for chunk in chunks([key for key in documents if key not in stored]):
        connection.execute(_REMOVE, {"of_kind": kind, "removed": chunk})


def _has_text_as_key(row: Row[*tuple[Any, ...]]) -> bool:
    return isinstance(row.key, str)
