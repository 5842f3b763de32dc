"""The layout: streams and consumers as they are asked for, whoever else asks for the same at this moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from healthprobe.adapters.nats.jetstream import ANSWER_WITHIN, JetStream, Refused
from healthprobe.adapters.nats.refusals import NO_STREAM

NANOSECONDS = 1_000_000_000

SOON = 1.0
"""Seconds for an answer about what may have been made a moment ago, which not every server knows: then we ask again.
They are for each answer, however many it takes: who is far away has all of them late."""

_NO_CONSUMER = 10014
_MADE_MEANWHILE = 10058

Config = Mapping[str, Any]
"""The configuration of a stream or a consumer, in JetStream's words."""


async def standing_stream(stream: JetStream, name: str) -> Config | None:
    """How the stream `name` is configured, or None where there is none. Raises Unanswered or Refused."""
    return await _standing(stream, f"STREAM.INFO.{name}", NO_STREAM, ANSWER_WITHIN)


async def found_or_made_stream(stream: JetStream, config: Config, within: float = ANSWER_WITHIN) -> Config:
    """How the stream of this name is configured; where it was missing, it is made as `config` says.

    Then it has as many replicas as the address wants, and where that leaves it open, three in a cluster. Each answer is
    to come `within` so many seconds. Raises Unanswered or Refused.
    """
    name = config["name"]
    info = f"STREAM.INFO.{name}"
    if (standing := await _standing(stream, info, NO_STREAM, within)) is not None:
        return standing
    body = {"num_replicas": stream.address.replicas or (3 if stream.is_clustered else 1), **config}
    try:
        made: Config = (await stream.call(f"STREAM.CREATE.{name}", body, within))["config"]
    except Refused as refusal:
        if refusal.code != _MADE_MEANWHILE:
            raise
        return await _standing(stream, info, NO_STREAM, within) or {}
    return made


async def ensure_stream(stream: JetStream, config: Config) -> None:
    """Make the stream that `config` describes, or change the one that stands there. Raises Unanswered or Refused.

    It has as many replicas as the address wants; where that leaves it open, one that stands keeps what it has.
    """
    replicas = stream.address.replicas
    wanted = config if replicas is None else {**config, "num_replicas": replicas}
    standing = await found_or_made_stream(stream, wanted, SOON)
    if _differs(standing, wanted):
        await stream.call(f"STREAM.UPDATE.{config['name']}", {**standing, **wanted}, SOON)


async def ensure_consumer(stream: JetStream, of: str, config: Config) -> Config | None:
    """Make the consumer that `config` describes on the stream `of`, or change the one that stands there.

    Returns how that one was, or None where there was none. Raises Unanswered or Refused.
    """
    name = config["name"]
    standing = await _standing(stream, f"CONSUMER.INFO.{of}.{name}", _NO_CONSUMER, SOON)
    if standing is None or _differs(standing, config):
        api = f"CONSUMER.CREATE.{of}.{name}.{config['filter_subject']}"
        await stream.call(api, {"stream_name": of, "config": {**(standing or {}), **config}}, SOON)
    return standing


async def _standing(stream: JetStream, api: str, where_missing: int, within: float) -> Config | None:
    try:
        config: Config = (await stream.call(api, within=within))["config"]
    except Refused as refusal:
        if refusal.code == where_missing:
            return None
        raise
    return config


def _differs(standing: Config, wanted: Config) -> bool:
    return any(standing.get(key) != value for key, value in wanted.items())
