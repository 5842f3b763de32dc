"""NATS JetStream as log, store and lessor of shards. Imports domain and ports."""

from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.instances import Instance, instances
from healthprobe.adapters.nats.leases import ShardLeases
from healthprobe.adapters.nats.log import JetStreamLog
from healthprobe.adapters.nats.records import JetStreamRecords

__all__ = ["Instance", "JetStreamLog", "JetStreamRecords", "NatsAddress", "ShardLeases", "instances"]
