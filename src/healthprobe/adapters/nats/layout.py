"""The layout: streams and consumers as they are asked for, whoever else asks for the same at this moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from healthprobe.adapters.nats.jetstream import JetStream, Refused
from healthprobe.adapters.nats.refusals import NO_STREAM

NANOSECONDS = 1_000_000_000

_NO_CONSUMER = 10014
_MADE_MEANWHILE = 10058


async def ensure_stream(stream: JetStream, config: Mapping[str, Any]) -> None:
    """Make the stream that `config` describes, or change the one that stands there. Raises Unanswered or Refused.

    It has as many replicas as the address wants; where that leaves it open, one that stands keeps what it has.
    """
    name, replicas = config["name"], stream.address.replicas
    wanted = dict(config) if replicas is None else {**config, "num_replicas": replicas}
    try:
        standing = await _standing(stream, name)
        if standing is None:
            await stream.call(f"STREAM.CREATE.{name}", {"num_replicas": 3 if stream.is_clustered else 1, **wanted})
            return
    except Refused as refusal:
        if refusal.code != _MADE_MEANWHILE:
            raise
        standing = await _standing(stream, name) or {}
    if any(standing.get(key) != value for key, value in wanted.items()):
        await stream.call(f"STREAM.UPDATE.{name}", {**standing, **wanted})


async def ensure_consumer(stream: JetStream, of: str, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Make the consumer that `config` describes on the stream `of`, or change the one that stands there.

    Returns how that one was, or None where there was none. Raises Unanswered or Refused.
    """
    name = config["name"]
    standing: Mapping[str, Any] | None
    try:
        standing = (await stream.call(f"CONSUMER.INFO.{of}.{name}"))["config"]
    except Refused as refusal:
        if refusal.code != _NO_CONSUMER:
            raise
        standing = None
    if standing is None or any(standing.get(key) != value for key, value in config.items()):
        api = f"CONSUMER.CREATE.{of}.{name}.{config['filter_subject']}"
        await stream.call(api, {"stream_name": of, "config": {**(standing or {}), **config}})
    return standing


async def _standing(stream: JetStream, name: str) -> Mapping[str, Any] | None:
    try:
        config: Mapping[str, Any] = (await stream.call(f"STREAM.INFO.{name}"))["config"]
    except Refused as refusal:
        if refusal.code == NO_STREAM:
            return None
        raise
    return config
