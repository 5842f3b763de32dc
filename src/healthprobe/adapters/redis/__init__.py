"""Redis Streams as a bus, through redis-py. Imports domain and ports."""

from healthprobe.adapters.redis.publisher import RedisPublisher

__all__ = ["RedisPublisher"]
