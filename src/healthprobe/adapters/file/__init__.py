"""Files: reads runtime records in JSON or YAML, publishes events as lines."""

from healthprobe.adapters.file.publisher import FilePublisher, check_file
from healthprobe.adapters.file.records import FileRecords, read_records
from healthprobe.adapters.file.runtimes import parse_records

__all__ = ["FilePublisher", "FileRecords", "check_file", "parse_records", "read_records"]
