"""Streams and subjects: where the log keeps what."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from healthprobe._util.text import shorten
from healthprobe.adapters.nats.connection import ANSWER_WITHIN, JetStream, Refused
from healthprobe.adapters.nats.errors import NO_STREAM, as_log_errors
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.shard import MOST_SHARDS, SHARDS, shard_of
from healthprobe.ports import ConfigurationError

NANOSECONDS = 1_000_000_000

EXPECTED = "Nats-Expected-Last-Subject-Sequence"
"""The header for compare-and-set: the sequence of the last message of the subject, 0 where there must be none."""

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


_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,160}")
_LONGEST = 160


def token_of(name: str) -> str:
    """One word of letters, digits, `-`, `_` and `=`, another for every name; where that is possible, the name itself.

    What has other characters is base64 after one `=`, what would be longer than 160 characters its SHA-256 after two.

    >>> token_of("game-7"), token_of("игра 7"), token_of("x" * 300)[:12]
    ('game-7', '=0LjQs9GA0LAgNw==', '==0d4e2ca9e9')
    """
    if _PLAIN.fullmatch(name):
        return name
    encoded = name.encode("utf-8", "surrogatepass")
    token = f"={urlsafe_b64encode(encoded).decode()}"
    return token if len(token) <= _LONGEST else f"=={sha256(encoded).hexdigest()}"


_NEVER_LESS: Mapping[str, Any] = {
    "retention": "limits",
    "storage": "file",
    "discard": "old",
    "max_msgs": -1,
    "max_bytes": -1,
    "max_age": 0,
    "deny_delete": False,
    "deny_purge": False,
}
"""What both streams have: nothing leaves them by itself, and all that we remove can be removed."""

_SHARDS = "healthprobe_shards"
"""Where the stream of events keeps over how many shards its games are spread. One without this key has SHARDS."""

_NOT_KEPT_BY = ("subjects", "metadata")


@dataclass(frozen=True, slots=True)
class LogStreams:
    """Names and subjects of the log, all of which begin with `prefix`. Games are spread over `shards` shards."""

    prefix: str
    shards: int = SHARDS

    @property
    def events(self) -> str:
        """The stream of events and epochs."""
        return f"{self.prefix}_events"

    @property
    def relays(self) -> str:
        """The stream of cursors and dead letters."""
        return f"{self.prefix}_relays"

    @property
    def all_events(self) -> str:
        return f"{self.prefix}.events.>"

    @property
    def all_cursors(self) -> str:
        return f"{self.prefix}.relays.cursors.*"

    def of_game(self, game_id: str) -> str:
        """The subject of a game's events."""
        return f"{self.prefix}.events.{shard_of(game_id, self.shards)}.{token_of(game_id)}"

    def is_event(self, subject: str) -> bool:
        return subject.startswith(f"{self.prefix}.events.")

    def of_epoch(self, shard: int) -> str:
        """The subject on which a shard is claimed."""
        return f"{self.prefix}.epochs.{shard}.claim"

    def of_cursor(self, name: str) -> str:
        return f"{self.prefix}.relays.cursors.{token_of(name)}"

    def of_letter(self, publisher: str, event: HealthEvent) -> str:
        return f"{self.prefix}.relays.letters.{token_of(publisher)}.{token_of(event.id)}"

    def letters_of(self, publisher: str | None) -> str:
        """The subjects of all the letters of one publisher, or of all."""
        return f"{self.prefix}.relays.letters.{'*' if publisher is None else token_of(publisher)}.*"

    def configs(self) -> list[Mapping[str, Any]]:
        """Both streams, as they are asked for. The one that is made last tells that all is there."""
        return [
            {
                **_NEVER_LESS,
                "name": self.relays,
                "subjects": [f"{self.prefix}.relays.cursors.*", f"{self.prefix}.relays.letters.*.*"],
                "max_msgs_per_subject": 1,
            },
            {
                **_NEVER_LESS,
                "name": self.events,
                "subjects": [f"{self.prefix}.events.*.*", f"{self.prefix}.epochs.*.claim"],
                "max_msgs_per_subject": -1,
                "allow_rollup_hdrs": True,
                "metadata": {_SHARDS: str(self.shards)},
            },
        ]


async def prepare(stream: JetStream, *, create: bool) -> LogStreams:
    """Find the streams of the log, and make those that are missing where `create` says so.

    Raises ConfigurationError for streams that are not ours or cannot be had, Unanswered or Refused.
    """
    streams = LogStreams(stream.address.prefix, stream.address.shards or SHARDS)
    for config in streams.configs():
        standing = await _prepare(stream, config, create=create)
    return replace(streams, shards=_shards_in(stream, standing))


async def standing_shards(stream: JetStream) -> int:
    """Over how many shards the games of the log are spread. Raises ConfigurationError or LogError."""
    with as_log_errors(stream):
        standing = await standing_stream(stream, LogStreams(stream.address.prefix).events)
    return stream.address.shards or SHARDS if standing is None else _shards_in(stream, standing)


def _shards_in(stream: JetStream, standing: Config) -> int:
    """That of the stream of events, which holds for ever, and is the one that was asked for, if any was."""
    told, asked_for = (standing.get("metadata") or {}).get(_SHARDS, str(SHARDS)), stream.address.shards
    shards = int(told) if told.isascii() and told.isdecimal() else 0
    if not 1 <= shards <= MOST_SHARDS:
        raise ConfigurationError(
            f"{stream.address.name}: its log tells {shorten(told, 20)!r} for {_SHARDS}: "
            "put the number back there with which it was made"
        )
    if asked_for not in {None, shards}:
        raise ConfigurationError(
            f"{stream.address.name}: its log was made with {shards} shards, and keeps them for ever: "
            f"leave ?shards={asked_for} out, or begin another log with ?prefix=NAME"
        )
    return shards


async def _prepare(stream: JetStream, config: Config, *, create: bool) -> Config:
    if not create and await standing_stream(stream, config["name"]) is None:
        raise ConfigurationError(f"{stream.address.name} holds nothing yet: 'healthprobe run' creates it")
    standing = await found_or_made_stream(stream, config)
    _check(stream, config, standing)
    return standing


def _check(stream: JetStream, wanted: Mapping[str, Any], standing: Mapping[str, Any]) -> None:
    place = f"{stream.address.name}: its stream {wanted['name']}"
    if set(standing.get("subjects") or ()) != set(wanted["subjects"]):
        raise ConfigurationError(f"{place} has other subjects than a log's: write ?prefix=NAME for one of our own")
    for key, value in wanted.items():
        if key not in _NOT_KEPT_BY and standing.get(key, False) != value:
            raise ConfigurationError(
                f"{place} would not keep a log: set its {key} to {value}, or write ?prefix=NAME for one of our own"
            )
    replicas, asked_for = standing["num_replicas"], stream.address.replicas
    if asked_for is not None and replicas < asked_for:
        raise ConfigurationError(
            f"{place} has {replicas} of the {asked_for} replicas asked for: "
            f"run 'nats stream edit {wanted['name']} --replicas {asked_for}', or leave ?replicas= out"
        )
