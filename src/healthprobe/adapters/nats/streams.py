"""Streams and subjects: creating them, and those of the log."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
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
"""Seconds for an answer about what may have just been created: not every server knows it yet, and a later request
succeeds. A limit for each answer and not for all, since every answer from a distant server is late."""

_NO_CONSUMER = 10014
_NAME_IN_USE = 10058

Config = Mapping[str, Any]
"""The configuration of a stream or a consumer, as in JetStream's API."""


async def stream_config(stream: JetStream, name: str) -> Config | None:
    """Returns the configuration of the stream `name`, or None. Raises Unanswered or Refused."""
    return await _config(stream, f"STREAM.INFO.{name}", NO_STREAM, ANSWER_WITHIN)


async def find_or_create_stream(stream: JetStream, config: Config, within: float = ANSWER_WITHIN) -> Config:
    """Returns the configuration of the stream of this name, which it creates if it is missing.

    A new stream has the replicas that the address asks for, or else three in a cluster. Each answer must come `within`
    so many seconds. Raises Unanswered or Refused.
    """
    name = config["name"]
    info = f"STREAM.INFO.{name}"
    if (existing := await _config(stream, info, NO_STREAM, within)) is not None:
        return existing
    body = {"num_replicas": stream.address.replicas or (3 if stream.is_clustered else 1), **config}
    try:
        made: Config = (await stream.call(f"STREAM.CREATE.{name}", body, within))["config"]
    except Refused as refusal:
        if refusal.code != _NAME_IN_USE:
            raise
        return await _config(stream, info, NO_STREAM, within) or {}
    return made


async def ensure_stream(stream: JetStream, config: Config) -> None:
    """Creates the stream that `config` describes, or updates the one that exists. Raises Unanswered or Refused.

    An existing stream keeps its replicas unless the address asks for a number.
    """
    replicas = stream.address.replicas
    wanted = config if replicas is None else {**config, "num_replicas": replicas}
    existing = await find_or_create_stream(stream, wanted, SOON)
    if _differs(existing, wanted):
        await stream.call(f"STREAM.UPDATE.{config['name']}", {**existing, **wanted}, SOON)


async def ensure_consumer(stream: JetStream, of: str, config: Config) -> Config | None:
    """Creates the consumer that `config` describes on the stream `of`, or updates the one that exists.

    Returns its configuration before, or None. Raises Unanswered or Refused.
    """
    name = config["name"]
    existing = await _config(stream, f"CONSUMER.INFO.{of}.{name}", _NO_CONSUMER, SOON)
    if existing is None or _differs(existing, config):
        api = f"CONSUMER.CREATE.{of}.{name}.{config['filter_subject']}"
        await stream.call(api, {"stream_name": of, "config": {**(existing or {}), **config}}, SOON)
    return existing


async def _config(stream: JetStream, api: str, where_missing: int, within: float) -> Config | None:
    try:
        config: Config = (await stream.call(api, within=within))["config"]
    except Refused as refusal:
        if refusal.code == where_missing:
            return None
        raise
    return config


def _differs(existing: Config, wanted: Config) -> bool:
    return any(existing.get(key) != value for key, value in wanted.items())


_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,160}")
_LONGEST = 160


def token_of(name: str) -> str:
    """Returns a unique subject token for `name`, of letters, digits, `-`, `_` and `=`: the name itself if possible.

    A name with other characters becomes base64 after one `=`, a longer one than 160 characters its SHA-256 after two.

    >>> token_of("game-7"), token_of("игра 7"), token_of("x" * 300)[:12]
    ('game-7', '=0LjQs9GA0LAgNw==', '==0d4e2ca9e9')
    """
    if _PLAIN.fullmatch(name):
        return name
    encoded = name.encode("utf-8", "surrogatepass")
    token = f"={urlsafe_b64encode(encoded).decode()}"
    return token if len(token) <= _LONGEST else f"=={sha256(encoded).hexdigest()}"


def name_of(token: str) -> str:
    """Returns the name of which `token_of` made `token`, or an empty text where that cannot be known.

    >>> name_of("game-7"), name_of("=0LjQs9GA0LAgNw=="), name_of("==0d4e2ca9e9")
    ('game-7', 'игра 7', '')
    """
    try:
        name = urlsafe_b64decode(token[1:]).decode() if token.startswith("=") else token
    except ValueError:
        return ""
    return name if token_of(name) == token else ""


_KEEP_ALL: Mapping[str, Any] = {
    "retention": "limits",
    "storage": "file",
    "discard": "old",
    "max_msgs": -1,
    "max_bytes": -1,
    "max_age": 0,
    "deny_delete": False,
    "deny_purge": False,
}
"""Settings of the streams of a log: nothing is removed from them by limits, and what we remove can be removed."""

_SHARDS = "healthprobe_shards"
"""The metadata of the stream of events with the number of shards. A stream without it has SHARDS."""

_NOT_COMPARED = ("subjects", "metadata")


@dataclass(frozen=True, slots=True)
class LogStreams:
    """Names and subjects of the log, which begin with `prefix`. Games are spread over `shards` shards."""

    prefix: str
    shards: int = SHARDS

    @property
    def events(self) -> str:
        """The stream of events and claims."""
        return f"{self.prefix}_events"

    @property
    def relays(self) -> str:
        """The stream of cursors and dead letters."""
        return f"{self.prefix}_relays"

    @property
    def documents(self) -> str:
        """The stream of documents."""
        return f"{self.prefix}_documents"

    @property
    def all_events(self) -> str:
        return f"{self.prefix}.events.>"

    @property
    def all_cursors(self) -> str:
        return f"{self.prefix}.relays.cursors.*"

    def of_game(self, game_id: str) -> str:
        """The subject of a game's events."""
        return f"{self.prefix}.events.{shard_of(game_id, self.shards)}.{token_of(game_id)}"

    def of_key(self, key: str) -> str:
        """The subject of events that ends with `key`: a shard and a token."""
        return f"{self.prefix}.events.{key}"

    def game_of(self, subject: str) -> str:
        """Returns the game whose events are on `subject`, or an empty text where that cannot be known."""
        game_id = name_of(subject.rpartition(".")[2])
        return game_id if self.of_game(game_id) == subject else ""

    def is_event(self, subject: str) -> bool:
        return subject.startswith(f"{self.prefix}.events.")

    def of_claim(self, shard: int) -> str:
        """The subject of the claims of a shard."""
        return f"{self.prefix}.epochs.{shard}.claim"

    def of_cursor(self, name: str) -> str:
        return f"{self.prefix}.relays.cursors.{token_of(name)}"

    @property
    def letters(self) -> str:
        """What the subjects of all dead letters begin with."""
        return f"{self.prefix}.relays.letters."

    def of_letter(self, publisher: str, event: HealthEvent) -> str:
        return f"{self.letters}{token_of(publisher)}.{token_of(event.id)}"

    def letters_of(self, publisher: str | None) -> str:
        """The subjects of all dead letters of one publisher, or of all."""
        return f"{self.letters}{'*' if publisher is None else token_of(publisher)}.*"

    def of_document(self, kind: str, key: str) -> str:
        return f"{self.prefix}.relays.documents.{token_of(kind)}.{token_of(key)}"

    def documents_of(self, kind: str) -> str:
        """The subjects of all documents of a kind."""
        return f"{self.prefix}.relays.documents.{token_of(kind)}.*"

    def documents_config(self) -> Mapping[str, Any]:
        """The stream of documents, which a log of an older version lacks."""
        return {
            **_KEEP_ALL,
            "name": self.documents,
            "subjects": [f"{self.prefix}.relays.documents.*.*"],
            "max_msgs_per_subject": 1,
        }

    def configs(self) -> list[Mapping[str, Any]]:
        """The streams that every log has. The one that is created last shows that both exist."""
        return [
            {
                **_KEEP_ALL,
                "name": self.relays,
                "subjects": [f"{self.prefix}.relays.cursors.*", f"{self.prefix}.relays.letters.*.*"],
                "max_msgs_per_subject": 1,
            },
            {
                **_KEEP_ALL,
                "name": self.events,
                "subjects": [f"{self.prefix}.events.*.*", f"{self.prefix}.epochs.*.claim"],
                "max_msgs_per_subject": -1,
                "allow_rollup_hdrs": True,
                "metadata": {_SHARDS: str(self.shards)},
            },
        ]


async def prepare(stream: JetStream, *, create: bool) -> LogStreams:
    """Returns the streams of the log, and with `create` creates those that are missing.

    Raises ConfigurationError for streams that are not a log's, Unanswered or Refused.
    """
    streams = LogStreams(stream.address.prefix, stream.address.shards or SHARDS)
    if create:
        await ensure_documents(stream, streams)
    for config in streams.configs():
        existing = await _prepare(stream, config, create=create)
    return replace(streams, shards=_shards_in(stream, existing))


async def ensure_documents(stream: JetStream, streams: LogStreams) -> None:
    """Creates the stream of documents, if it is missing.

    Raises ConfigurationError for one that is not a log's, Unanswered or Refused.
    """
    await _prepare(stream, streams.documents_config(), create=True)


async def created_at(stream: JetStream, name: str) -> datetime:
    """Returns the instant at which the stream `name` was created, which never changes. Raises Unanswered or Refused."""
    created: str = (await stream.call(f"STREAM.INFO.{name}"))["created"]
    return datetime.fromisoformat(created).astimezone(UTC)


async def log_shards(stream: JetStream) -> int:
    """Returns the number of shards of the log. Raises ConfigurationError or LogError."""
    with as_log_errors(stream):
        existing = await stream_config(stream, LogStreams(stream.address.prefix).events)
    return stream.address.shards or SHARDS if existing is None else _shards_in(stream, existing)


def _shards_in(stream: JetStream, existing: Config) -> int:
    """Returns the number in the metadata of the stream of events. It never changes, and the URL must agree with it."""
    written, asked_for = (existing.get("metadata") or {}).get(_SHARDS, str(SHARDS)), stream.address.shards
    shards = int(written) if written.isascii() and written.isdecimal() else 0
    if not 1 <= shards <= MOST_SHARDS:
        raise ConfigurationError(
            f"{stream.address.name}: its log has {shorten(written, 20)!r} as {_SHARDS}: "
            "restore the number with which it was created"
        )
    if asked_for not in {None, shards}:
        raise ConfigurationError(
            f"{stream.address.name}: its log was created with {shards} shards, which cannot change: "
            f"leave ?shards={asked_for} out, or create another log with ?prefix=NAME"
        )
    return shards


async def _prepare(stream: JetStream, config: Config, *, create: bool) -> Config:
    if not create and await stream_config(stream, config["name"]) is None:
        raise ConfigurationError(f"{stream.address.name} holds nothing yet: 'healthprobe run' creates it")
    existing = await find_or_create_stream(stream, config)
    _check(stream, config, existing)
    return existing


def _check(stream: JetStream, wanted: Mapping[str, Any], existing: Mapping[str, Any]) -> None:
    place = f"{stream.address.name}: its stream {wanted['name']}"
    if set(existing.get("subjects") or ()) != set(wanted["subjects"]):
        raise ConfigurationError(f"{place} has other subjects than a log's: write ?prefix=NAME for one of our own")
    for key, value in wanted.items():
        if key not in _NOT_COMPARED and existing.get(key, False) != value:
            raise ConfigurationError(
                f"{place} would not keep a log: set its {key} to {value}, or write ?prefix=NAME for one of our own"
            )
    replicas, asked_for = existing["num_replicas"], stream.address.replicas
    if asked_for is not None and replicas < asked_for:
        raise ConfigurationError(
            f"{place} has {replicas} of the {asked_for} replicas asked for: "
            f"run 'nats stream edit {wanted['name']} --replicas {asked_for}', or leave ?replicas= out"
        )
