"""Publishes to a Redis Stream, through redis-py."""

from healthprobe.adapters.redis.publisher import RedisPublisher

__all__ = ["RedisPublisher"]
