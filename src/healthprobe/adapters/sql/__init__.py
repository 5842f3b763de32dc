"""SQL databases as store and log, through SQLAlchemy Core; SQLite is the embedded one. Imports domain and ports."""

from healthprobe.adapters.sql.database import SqlDatabase
from healthprobe.adapters.sql.log import SqlLog
from healthprobe.adapters.sql.records import SqlRecords

__all__ = ["SqlDatabase", "SqlLog", "SqlRecords"]
