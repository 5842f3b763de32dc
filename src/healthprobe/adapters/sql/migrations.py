"""The steps from each older schema to the next, as statements that later changes of the tables do not affect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

_DEAD_LETTERS = """
CREATE TABLE dead_letters (
    publisher VARCHAR NOT NULL,
    game_id VARCHAR NOT NULL,
    sequence INTEGER NOT NULL,
    container_id VARCHAR NOT NULL,
    event_type VARCHAR NOT NULL,
    occurred_at VARCHAR(27) NOT NULL,
    details JSON NOT NULL,
    reason VARCHAR NOT NULL,
    parked_at VARCHAR(27) NOT NULL,
    due BOOLEAN NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (publisher, game_id, sequence),
    UNIQUE (number)
)
"""

_DOCUMENTS = """
CREATE TABLE healthprobe_documents (
    kind VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    document VARCHAR NOT NULL,
    PRIMARY KEY (kind, key)
)
"""

STEPS: Mapping[int, Sequence[str]] = {
    1: (_DEAD_LETTERS,),
    2: tuple(
        f"ALTER TABLE runtime_records ADD COLUMN {column} VARCHAR"
        for column in ("probe", "silenced_until", "silenced_why")
    ),
    3: ("CREATE TABLE log_identity (identity VARCHAR(36) NOT NULL, PRIMARY KEY (identity))",),
    4: (_DOCUMENTS,),
    5: tuple(
        f"ALTER TABLE {table} ADD COLUMN labels JSON" for table in ("runtime_records", "health_events", "dead_letters")
    ),
}
"""The statements that lead from each version to the next."""


def migrate(connection: Connection, version: int) -> None:
    """Migrates the schema from `version` to the newest, in the caller's transaction."""
    for step in range(version, max(STEPS) + 1):
        for statement in STEPS[step]:
            connection.exec_driver_sql(statement)
