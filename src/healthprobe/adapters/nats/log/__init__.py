"""The log on JetStream: events, claims, cursors and dead letters. Imports the connection, and no other room."""

from healthprobe.adapters.nats.log.events import JetStreamLog
from healthprobe.adapters.nats.log.streams import standing_shards

__all__ = ["JetStreamLog", "standing_shards"]
