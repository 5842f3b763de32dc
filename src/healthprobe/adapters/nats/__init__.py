"""NATS JetStream as log, store and lessor of shards, each in a room of its own over one connection.

Imports domain and ports. The rooms import what stands here background_tasks them, and never each other.
"""

from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.event_log import JetStreamLog
from healthprobe.adapters.nats.membership import instances
from healthprobe.adapters.nats.records import JetStreamRecords
from healthprobe.adapters.nats.shard_leases import DEFAULT_LEASE, SHORTEST_LEASE, FencedLog, JetStreamLeases
from healthprobe.adapters.nats.streams import standing_shards

__all__ = [
    "DEFAULT_LEASE",
    "SHORTEST_LEASE",
    "FencedLog",
    "JetStreamLeases",
    "JetStreamLog",
    "JetStreamRecords",
    "NatsAddress",
    "instances",
    "standing_shards",
]
