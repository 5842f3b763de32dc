"""Refusals: what JetStream answers, or does not, told in one line that says what to change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from healthprobe._util.text import shorten
from healthprobe.adapters.nats.connection import JetStream, Refused, Unanswered
from healthprobe.ports import ConfigurationError, LogError

NO_STREAM = 10059
NO_MESSAGE = 10037
NOT_DELETED = 10057
NO_LEADER = 10008
NOBODY_LEADS = "nobody leads its JetStream: most of its servers must run, and see each other"
SWITCHED_OFF = "the server runs without JetStream: start it with jetstream { store_dir: … } in its configuration"
OUTRUN = frozenset({10071, 10158, 10164})
"""Another message came first: it stands there, has the same id, or is on its way."""
IN_PROCESS = frozenset({10158, 10164})
"""It is on its way: in a moment it stands there, or does not."""

_FOR_GOOD = {
    10039: "JetStream is not enabled for our account: enable it there",
    10054: "it takes no message as large as this event: raise its max_payload",
    10065: "another stream takes our subjects: write ?prefix=NAME for some of our own, or remove that stream",
    10074: "it is no cluster, and keeps one replica only: leave ?replicas= out, or write replicas=1",
    10076: "JetStream is not enabled: enable it in the server's configuration",
    10109: "its stream is sealed and takes nothing any more: write ?prefix=NAME for a log of our own",
    10113: "our account wants every stream bounded, which a log must not be: lift max_bytes_required there",
    NO_STREAM: "the streams of the log are gone: restart healthprobe, which makes them anew",
}
_FOR_NOW = {
    10002: "our account has used up what it may store: raise its JetStream limits",
    10005: "too few of its servers are there for as many replicas: start them, or write ?replicas=1",
    NO_LEADER: NOBODY_LEADS,
    10023: "its resources are used up: look at its disk, and at the limits of JetStream",
    10047: "its storage is full: give JetStream more of it",
}
_AWAY = "look whether the servers run, and most of them see each other"
_SHARED = "does another fleet write here? Give each a ?prefix=NAME of its own"
_FORBIDDEN = "permissions violation"


_STORE_FAILED = 10077


def is_full(refusal: Refused) -> bool:
    """Whether a stream has reached its limit of messages or bytes.

    The code alone does not say so: JSStreamStoreFailedF is any failure to store a message, with the cause as its text.
    """
    return refusal.code == _STORE_FAILED and str(refusal) in {"maximum bytes exceeded", "maximum messages exceeded"}


class Outrun(Exception):
    """Others came first, again and again. The message says with what."""


@contextmanager
def told_plainly(stream: JetStream) -> Iterator[None]:
    """Whatever is met in here becomes a LogError, `permanent` where no waiting changes it."""
    before = stream.client.last_error
    try:
        yield
    except (Unanswered, Refused, Outrun, UnicodeEncodeError) as error:
        raise _log_error(error, stream, before) from error


@contextmanager
def told_at_opening(stream: JetStream) -> Iterator[None]:
    """The same, but what no waiting changes becomes a ConfigurationError."""
    try:
        with told_plainly(stream):
            yield
    except LogError as error:
        if error.permanent or has_no_jetstream(stream, error.__cause__):
            advice = str(error) if error.permanent else f"{stream.address.name}: {SWITCHED_OFF}"
            raise ConfigurationError(advice) from error
        raise


def _log_error(error: Exception, stream: JetStream, before: Exception | None) -> LogError:
    name = stream.address.name
    if isinstance(error, UnicodeEncodeError):
        return LogError(
            f"{name} takes no text with lone surrogates, as in {shorten(error.object, 80)!r}", permanent=True
        )
    if isinstance(error, Refused):
        if (advice := _FOR_GOOD.get(error.code)) is not None:
            return LogError(f"{name}: {advice}", permanent=True)
        advice = f"a stream is full ({error}): raise its limits" if is_full(error) else _FOR_NOW.get(error.code)
        return LogError(f"{name}: {advice or f'JetStream refuses: {error} ({error.code})'}")
    if isinstance(error, Outrun):
        return LogError(f"the log at {name}: {error}; {_SHARED}")
    last = stream.client.last_error
    said = [str(error), "" if last is before else str(last)]
    if forbidden := [each for each in said if _FORBIDDEN in each.lower()]:
        told = " ".join(forbidden[0].split()).removeprefix("nats: ")
        return LogError(f"{name}: our user may not do this: {told}; allow it there", permanent=True)
    why = error if stream.is_connected else "there is no connection to it"
    return LogError(f"the log at {name}: {why}; {_AWAY}")


def has_no_jetstream(stream: JetStream, cause: BaseException | None) -> bool:
    """Whether it says so itself, and has no others that might."""
    told = stream.client._server_info  # noqa: SLF001  there is no other way to ask
    return isinstance(cause, Unanswered) and not (stream.is_clustered or told.get("jetstream", False))
