"""The streams of the log: one for events and the epochs of shards, one for what relays must remember."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from healthprobe.adapters.nats.jetstream import JetStream
from healthprobe.adapters.nats.layout import found_or_made_stream, standing_stream
from healthprobe.adapters.nats.token import token_of
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.shard import shard_of
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


@dataclass(frozen=True, slots=True)
class LogStreams:
    """Names and subjects of the log, all of which begin with `prefix`."""

    prefix: str

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
        return f"{self.prefix}.events.{shard_of(game_id)}.{token_of(game_id)}"

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
            },
        ]


async def prepare(stream: JetStream, *, create: bool) -> LogStreams:
    """Find the streams of the log, and make those that are missing where `create` says so.

    Raises ConfigurationError for streams that are not ours or cannot be had, Unanswered or Refused.
    """
    streams = LogStreams(stream.address.prefix)
    for config in streams.configs():
        await _prepare(stream, config, create=create)
    return streams


async def _prepare(stream: JetStream, config: Mapping[str, Any], *, create: bool) -> None:
    if not create and await standing_stream(stream, config["name"]) is None:
        raise ConfigurationError(f"{stream.address.name} holds nothing yet: 'healthprobe run' creates it")
    _check(stream, config, await found_or_made_stream(stream, config))


def _check(stream: JetStream, wanted: Mapping[str, Any], standing: Mapping[str, Any]) -> None:
    place = f"{stream.address.name}: its stream {wanted['name']}"
    if set(standing.get("subjects") or ()) != set(wanted["subjects"]):
        raise ConfigurationError(f"{place} has other subjects than a log's: write ?prefix=NAME for one of our own")
    for key, value in wanted.items():
        if key != "subjects" and standing.get(key, False) != value:
            raise ConfigurationError(
                f"{place} would not keep a log: set its {key} to {value}, or write ?prefix=NAME for one of our own"
            )
    replicas, asked_for = standing["num_replicas"], stream.address.replicas
    if asked_for is not None and replicas < asked_for:
        raise ConfigurationError(
            f"{place} has {replicas} of the {asked_for} replicas asked for: "
            f"run 'nats stream edit {wanted['name']} --replicas {asked_for}', or leave ?replicas= out"
        )
