"""SQL databases as store and log, through SQLAlchemy Core: the embedded SQLite, and PostgreSQL."""

from healthprobe.adapters.sql.database import SqlDatabase, backend_of
from healthprobe.adapters.sql.log import SqlLog
from healthprobe.adapters.sql.query import SqlQuery
from healthprobe.adapters.sql.records import SqlRecords

__all__ = ["SqlDatabase", "SqlLog", "SqlQuery", "SqlRecords", "backend_of"]
