"""NATS JetStream as the log of events, the store of runtime records, and the leases of shards."""

from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.event_log import JetStreamLog
from healthprobe.adapters.nats.membership import instances
from healthprobe.adapters.nats.records import JetStreamRecords
from healthprobe.adapters.nats.shard_leases import DEFAULT_LEASE, SHORTEST_LEASE, JetStreamLeases
from healthprobe.adapters.nats.streams import log_shards

__all__ = [
    "DEFAULT_LEASE",
    "SHORTEST_LEASE",
    "JetStreamLeases",
    "JetStreamLog",
    "JetStreamRecords",
    "NatsAddress",
    "instances",
    "log_shards",
]
