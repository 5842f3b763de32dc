"""The streams of the log: one for events and the epochs of shards, one for what relays must remember."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from healthprobe.adapters.nats.jetstream import JetStream
from healthprobe.adapters.nats.layout import Config, found_or_made_stream, standing_stream
from healthprobe.adapters.nats.refusals import told_plainly
from healthprobe.adapters.nats.token import token_of
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.shard import MOST_SHARDS, SHARDS, shard_of
from healthprobe.ports import ConfigurationError

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
    with told_plainly(stream):
        standing = await standing_stream(stream, LogStreams(stream.address.prefix).events)
    return stream.address.shards or SHARDS if standing is None else _shards_in(stream, standing)


def _shards_in(stream: JetStream, standing: Config) -> int:
    """That of the stream of events, which holds for ever, and is the one that was asked for, if any was."""
    told, asked_for = (standing.get("metadata") or {}).get(_SHARDS, str(SHARDS)), stream.address.shards
    shards = int(told) if told.isascii() and told.isdecimal() else 0
    if not 1 <= shards <= MOST_SHARDS:
        raise ConfigurationError(
            f"{stream.address.name}: its log tells {told[:20]!r} for {_SHARDS}: "
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
