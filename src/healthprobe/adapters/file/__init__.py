"""Runtime records in a JSON or YAML file that somebody else writes. Imports domain and ports."""

from healthprobe.adapters.file.records import FileRecords, read_records
from healthprobe.adapters.file.runtimes import parse_records

__all__ = ["FileRecords", "parse_records", "read_records"]
