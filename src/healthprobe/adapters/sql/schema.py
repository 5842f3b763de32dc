"""The schema: the tables of the store and of the log, and their version."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import (
    DDL,
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    event,
    func,
    insert,
    inspect,
    select,
    update,
)

from healthprobe.adapters.sql.backend import Backend
from healthprobe.adapters.sql.migrations import migrate
from healthprobe.ports import ConfigurationError

VERSION = 6
"""The version of the schema that this program writes. A greater one is refused, a smaller one is migrated."""

metadata = MetaData()

schema_versions = Table(
    "healthprobe_schema",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
)
"""One row. A database with tables but without this one belongs to another program."""

runtime_records = Table(
    "runtime_records",
    metadata,
    Column("game_id", String, primary_key=True),
    Column("current_container_id", String, nullable=False),
    Column("engine_endpoint", String, nullable=False),
    Column("status", String, nullable=False),
    Column("probe", String),
    Column("silenced_until", String),
    Column("silenced_why", String),
    Column("labels", JSON(none_as_null=True)),
)
"""`probe` is JSON text. `silenced_until` is an instant, in the form of `health_events` or in another program's."""

records_revisions = Table(
    "runtime_records_revision",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
)
"""One row, incremented by triggers with every edit of `runtime_records` by any program."""

health_events = Table(
    "health_events",
    metadata,
    Column("game_id", String, primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("id", String, nullable=False),
    Column("container_id", String, nullable=False),
    Column("event_type", String, nullable=False),
    Column("occurred_at", String(27), nullable=False),
    Column("details", JSON, nullable=False),
    Column("position", BigInteger, nullable=False, unique=True),
    Column("labels", JSON(none_as_null=True)),
)
"""`occurred_at` is RFC 3339 in UTC; `position` is the place in the log, from 1 without gaps."""

log_identities = Table(
    "log_identity",
    metadata,
    Column("identity", String(36), primary_key=True),
)
"""One row: a UUID that no other log has."""

relay_cursors = Table(
    "relay_cursors",
    metadata,
    Column("name", String, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("publisher", String, primary_key=True),
    Column("game_id", String, primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("container_id", String, nullable=False),
    Column("event_type", String, nullable=False),
    Column("occurred_at", String(27), nullable=False),
    Column("details", JSON, nullable=False),
    Column("reason", String, nullable=False),
    Column("parked_at", String(27), nullable=False),
    Column("due", Boolean, nullable=False),
    Column("number", BigInteger, nullable=False, unique=True),
    Column("labels", JSON(none_as_null=True)),
)
"""Each has its event, which the log may have pruned; `number` is the order in which they were parked."""

documents = Table(
    "healthprobe_documents",
    metadata,
    Column("kind", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("document", String, nullable=False),
)
"""What alarms and silences keep: JSON texts, by kind and key."""

MOST = 2**62
"""The greatest position, number or revision that counts: a greater one was altered, and would leave none to follow it.
SQLite puts text and bytes after every number, so a condition that leaves out what is greater leaves out those too.
"""

_TRIGGER = """
CREATE TRIGGER runtime_records_%(edit)s AFTER %(edit)s ON runtime_records
BEGIN UPDATE runtime_records_revision SET revision = revision + 1; END
"""
for _edit in ("insert", "update", "delete"):
    _ddl = DDL(_TRIGGER, context={"edit": _edit})  # type: ignore[no-untyped-call] # SQLAlchemy left this one untyped
    event.listen(records_revisions, "after_create", _ddl.execute_if(dialect="sqlite"))


def version_in(connection: Connection) -> int | None:
    """Returns the schema version of the database, or None if it has none."""
    if not inspect(connection).has_table(schema_versions.name):
        return None
    return connection.execute(select(schema_versions.c.version)).scalar()


def prepare(connection: Connection, backend: Backend) -> None:
    """Creates the schema if there is none, migrates an older one, and proves that the database can be written.

    Runs in one transaction under the write lock, so that one of two programs creates or migrates it and the other finds
    it done. Raises ConfigurationError, before anything is written, for a database of another program, of a newer
    version, or that does not hold every character.
    """
    backend.check_encoding(connection)
    version = version_in(connection)
    if version is None:
        if (refusal := backend.foreign_schema(connection)) is not None:
            raise ConfigurationError(refusal)
        metadata.create_all(connection, checkfirst=False)
        connection.execute(insert(schema_versions).values(version=VERSION))
        connection.execute(insert(records_revisions).values(revision=0))
        _identify(connection)
        return
    _require_known(backend.name, version)
    migrate(connection, version)
    _identify(connection)
    connection.execute(update(schema_versions).values(version=VERSION))


def _identify(connection: Connection) -> None:
    """Gives the log an identity, unless it has one."""
    if not connection.execute(select(func.count()).select_from(log_identities)).scalar():
        connection.execute(insert(log_identities).values(identity=str(uuid4())))


def check(connection: Connection, backend: Backend) -> bool:
    """Raises ConfigurationError as `prepare` does, and for an empty database. Returns False for an older schema."""
    backend.check_encoding(connection)
    version = version_in(connection)
    if version is None:
        raise ConfigurationError(backend.foreign_schema(connection) or empty(backend.name))
    _require_known(backend.name, version)
    return version == VERSION


def _require_known(name: str, version: int) -> None:
    if version > VERSION:
        raise ConfigurationError(newer(name, version))
    if version < 1:
        raise ConfigurationError(f"{name} has schema version {version}, which was altered: this one writes {VERSION}")


def not_ours(name: str) -> str:
    return f"{name} is the database of another program: choose a path of its own for healthprobe"


def newer(name: str, version: int) -> str:
    return (
        f"{name} has schema version {version} and this healthprobe knows version {VERSION}: "
        "upgrade healthprobe, or choose another database"
    )


def empty(name: str) -> str:
    return f"{name} holds nothing yet: 'healthprobe run' or 'healthprobe runtimes add' creates it"
