"""NATS JetStream as log, store and lessor of shards, each in a room of its own over one connection.

Imports domain and ports. The rooms import what stands here beside them, and never each other.
"""

from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.leases import ShardLeases, instances
from healthprobe.adapters.nats.log import JetStreamLog, standing_shards
from healthprobe.adapters.nats.records import JetStreamRecords

__all__ = [
    "JetStreamLog",
    "JetStreamRecords",
    "NatsAddress",
    "ShardLeases",
    "instances",
    "standing_shards",
]
