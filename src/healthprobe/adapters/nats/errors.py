"""Errors of JetStream as one line that says what to change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from healthprobe._util.text import shorten
from healthprobe.adapters.nats.connection import TOO_LARGE, JetStream, Refused, Unanswered
from healthprobe.ports import ConfigurationError, ContentError, LogError

NO_STREAM = 10059
NO_MESSAGE = 10037
NOT_DELETED = frozenset({10043, 10057})
"""There is no message with this sequence any more: another program deleted or replaced it."""
SWITCHED_OFF = "the server runs without JetStream: start it with jetstream { store_dir: … } in its configuration"
CONFLICTS = frozenset({10071, 10158, 10164})
"""The message did not enter because another one did first: at this sequence, with the same id, or in flight."""
IN_FLIGHT = frozenset({10158, 10164})
"""The other message is in flight: it is stored in a moment, or is not."""

PERMANENT = {
    10039: "JetStream is not enabled for our account: enable it there",
    TOO_LARGE: "it takes no message as large as this: raise its max_payload",
    10065: "another stream takes our subjects: write ?prefix=NAME for some of our own, or remove that stream",
    10074: "it is no cluster, and keeps one replica only: leave ?replicas= out, or write replicas=1",
    10076: "JetStream is not enabled: enable it in the server's configuration",
    10109: "its stream is sealed and takes nothing any more: write ?prefix=NAME for one of our own",
    10113: "our account requires max_bytes for every stream, which ours must not have: lift max_bytes_required there",
    NO_STREAM: "the streams of the log are gone: restart healthprobe, which creates them again",
}
TEMPORARY = {
    10002: "our account has used up what it may store: raise its JetStream limits",
    10005: "too few of its servers are there for so many replicas: start them, or write ?replicas=1",
    10008: "its JetStream has no leader: most of its servers must run, and reach each other",
    10023: "its resources are used up: look at its disk, and at the limits of JetStream",
    10047: "its storage is full: give JetStream more of it",
}
AWAY = "check that the servers run, and that most of them reach each other"
_SHARED = "does another fleet write here? Give each a ?prefix=NAME of its own"
_FORBIDDEN = "permissions violation"
_STORE_FAILED = 10077


def is_full(refusal: Refused) -> bool:
    """Whether a stream has reached its limit of messages or bytes.

    The code alone does not say so: JSStreamStoreFailedF is any failure to store a message, with the cause as its text.
    """
    return refusal.code == _STORE_FAILED and str(refusal) in {"maximum bytes exceeded", "maximum messages exceeded"}


class Contention(Exception):
    """Other writers came first, again and again. The message says with what."""


@contextmanager
def as_log_errors(stream: JetStream) -> Iterator[None]:
    """Raises the errors of the block as LogError, `permanent` where waiting does not help."""
    before = stream.client.last_error
    try:
        yield
    except (Unanswered, Refused, Contention, UnicodeEncodeError) as error:
        raise _log_error(error, stream, before) from error


@contextmanager
def errors_at_opening(stream: JetStream) -> Iterator[None]:
    """The same, but ConfigurationError where waiting does not help."""
    try:
        with as_log_errors(stream):
            yield
    except LogError as error:
        if error.permanent:
            raise ConfigurationError(str(error)) from error
        if runs_without_jetstream(stream, error.__cause__):
            raise ConfigurationError(f"{stream.address.name}: {SWITCHED_OFF}") from error
        raise


def _log_error(error: Exception, stream: JetStream, before: Exception | None) -> LogError:
    name = stream.address.name
    if isinstance(error, UnicodeEncodeError):
        return ContentError(f"{name} takes no text with lone surrogates, as in {shorten(error.object, 80)!r}")
    if isinstance(error, Refused):
        return _refusal(error, name)
    if isinstance(error, Contention):
        return LogError(f"the log at {name}: {error}; {_SHARED}")
    last = stream.client.last_error
    messages = [str(error), "" if last is before else str(last)]
    if forbidden := [message for message in messages if _FORBIDDEN in message.lower()]:
        cause = " ".join(forbidden[0].split()).removeprefix("nats: ")
        return LogError(f"{name}: our user may not do this: {cause}; allow it there", permanent=True)
    why = error if stream.is_connected else "there is no connection to it"
    return LogError(f"the log at {name}: {why}; {AWAY}")


def _refusal(error: Refused, name: str) -> LogError:
    if error.code == TOO_LARGE:
        return ContentError(f"{name}: {PERMANENT[TOO_LARGE]}")
    if (advice := PERMANENT.get(error.code)) is not None:
        return LogError(f"{name}: {advice}", permanent=True)
    advice = f"a stream is full ({error}): raise its limits" if is_full(error) else TEMPORARY.get(error.code)
    return LogError(f"{name}: {advice or f'JetStream refuses: {error} ({error.code})'}")


def runs_without_jetstream(stream: JetStream, cause: BaseException | None) -> bool:
    """Whether a request had no answer because the server runs without JetStream."""
    return isinstance(cause, Unanswered) and not stream.has_jetstream
