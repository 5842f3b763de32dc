"""The leases of shards that JetStream gives. Imports the connection, and no other room: a log is any `ClaimedLog`."""

from healthprobe.adapters.nats.leases.claims import ClaimedLog
from healthprobe.adapters.nats.leases.instances import instances
from healthprobe.adapters.nats.leases.tenure import DEFAULT_LEASE, SHORTEST_LEASE, ShardLeases

__all__ = ["DEFAULT_LEASE", "SHORTEST_LEASE", "ClaimedLog", "ShardLeases", "instances"]
