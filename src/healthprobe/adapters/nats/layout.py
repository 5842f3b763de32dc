"""The layout: streams and consumers as they are asked for, whoever else asks for the same at this moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from healthprobe.adapters.nats.jetstream import JetStream, Refused
from healthprobe.adapters.nats.refusals import NO_STREAM

NANOSECONDS = 1_000_000_000

_NO_CONSUMER = 10014
_MADE_MEANWHILE = 10058

Config = Mapping[str, Any]
"""The configuration of a stream or a consumer, in JetStream's words."""


async def standing_stream(stream: JetStream, name: str) -> Config | None:
    """How the stream `name` is configured, or None where there is none. Raises Unanswered or Refused."""
    return await _standing(stream, f"STREAM.INFO.{name}", NO_STREAM)


async def found_or_made_stream(stream: JetStream, config: Config) -> Config:
    """How the stream of this name is configured; where it was missing, it is made as `config` says.

    Then it has as many replicas as the address wants, and where that leaves it open, three in a cluster. Raises
    Unanswered or Refused.
    """
    name = config["name"]
    if (standing := await standing_stream(stream, name)) is not None:
        return standing
    replicas = stream.address.replicas or (3 if stream.is_clustered else 1)
    try:
        made: Config = (await stream.call(f"STREAM.CREATE.{name}", {"num_replicas": replicas, **config}))["config"]
    except Refused as refusal:
        if refusal.code != _MADE_MEANWHILE:
            raise
        return await standing_stream(stream, name) or {}
    return made


async def ensure_stream(stream: JetStream, config: Config) -> None:
    """Make the stream that `config` describes, or change the one that stands there. Raises Unanswered or Refused.

    It has as many replicas as the address wants; where that leaves it open, one that stands keeps what it has.
    """
    replicas = stream.address.replicas
    wanted = config if replicas is None else {**config, "num_replicas": replicas}
    standing = await found_or_made_stream(stream, wanted)
    if _differs(standing, wanted):
        await stream.call(f"STREAM.UPDATE.{config['name']}", {**standing, **wanted})


async def ensure_consumer(stream: JetStream, of: str, config: Config) -> Config | None:
    """Make the consumer that `config` describes on the stream `of`, or change the one that stands there.

    Returns how that one was, or None where there was none. Raises Unanswered or Refused.
    """
    name = config["name"]
    standing = await _standing(stream, f"CONSUMER.INFO.{of}.{name}", _NO_CONSUMER)
    if standing is None or _differs(standing, config):
        api = f"CONSUMER.CREATE.{of}.{name}.{config['filter_subject']}"
        await stream.call(api, {"stream_name": of, "config": {**(standing or {}), **config}})
    return standing


async def _standing(stream: JetStream, api: str, where_missing: int) -> Config | None:
    try:
        config: Config = (await stream.call(api))["config"]
    except Refused as refusal:
        if refusal.code == where_missing:
            return None
        raise
    return config


def _differs(standing: Config, wanted: Config) -> bool:
    return any(standing.get(key) != value for key, value in wanted.items())
