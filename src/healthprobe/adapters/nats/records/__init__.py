"""The records in a key-value bucket of JetStream. Imports the connection, and no other room."""

from healthprobe.adapters.nats.records.store import JetStreamRecords

__all__ = ["JetStreamRecords"]
