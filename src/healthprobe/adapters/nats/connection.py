"""The connection to JetStream: requests, replies and errors."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Self

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.ports import ConfigurationError

OLDEST = (2, 11)
"""The oldest nats-server that has what we need: keys that expire one by one, and markers for them."""

_NO_TLS = "it does not speak TLS: give it a certificate, or write nats:// without ?ca= where the network is yours alone"
_VERSION = re.compile(r"(\d+)\.(\d+)")
_FORBIDDEN = "permissions violation"
_CREDENTIALS = (b"BEGIN NATS USER JWT", b"BEGIN USER NKEY SEED")


class Unsuitable(NatsError):
    """A server or credentials that cannot be used. The message says why, and what to change."""


@contextmanager
def propagating_cancellation() -> Iterator[None]:
    """Raises CancelledError at the end of the block if the task was cancelled in it and the cancellation got lost.

    Before Python 3.12 asyncio.wait_for, which nats-py uses, loses a cancellation that comes at the moment of the
    answer (python/cpython#86296).
    """
    task = asyncio.current_task()
    requests_before = task.cancelling() if task else 0
    yield
    if task and task.cancelling() > requests_before:
        raise asyncio.CancelledError


class CheckingClient(Client):
    """A client that checks a server before it sends credentials, and that reconnects until it is closed.

    It overrides private methods, because nats-py has no option for either: it sends the password in the clear to a
    server without TLS, and it closes itself for good after an error that may be mended a minute later.
    """

    async def close(self) -> None:
        """Does nothing if `connect` failed before it began, where nats-py raises AttributeError."""
        if self._flush_queue is not None:
            await super().close()

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002
        """Refuses a server without TLS or of an old version, before the password is sent."""
        if initial_connection:
            if "tls" in self.options and not info.get("tls_required"):
                if not info.get("tls_available"):
                    raise Unsuitable(_NO_TLS)
                info["tls_required"] = True  # this server leaves the choice to its clients
            version = _VERSION.match(str(info.get("version", "")))
            if version is not None and (int(version[1]), int(version[2])) < OLDEST:
                wanted = ".".join(map(str, OLDEST))
                raise Unsuitable(f"it is nats-server {info['version']}: upgrade it, to {wanted} or newer")
        await super()._process_info(info, initial_connection)

    def _build_message(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: Any) -> Msg:
        """Reads a subject that is not UTF-8, with surrogates: nats-py would stop to read from the connection."""
        message: Msg = super()._build_message(sid, b"", reply, data, headers)
        message.subject = subject.decode(errors="surrogateescape")
        return message

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        """Leaves out headers that are none, for the same reason."""
        try:
            parsed: dict[str, str] | None = await super()._process_headers(headers)
        except (ValueError, IndexError):
            return None
        return parsed

    async def _process_connect_init(self) -> None:
        """Goes on to the next server where the answer is not the NATS protocol: nats-py's reconnect loop would end."""
        try:
            await super()._process_connect_init()
        except (NatsError, OSError, TimeoutError):
            raise
        except Exception as error:
            if self._transport is not None:
                close: Callable[[], None] = self._transport.close
                close()
            raise NatsError(f"what answers is no NATS server: {error}") from error

    def _connect_command(self) -> bytes:
        """Checks the file of credentials, which may just be rewritten: nats-py reads a file without a JWT for ever."""
        if (path := self._user_credentials) is not None:
            content = Path(str(path)).read_bytes()
            if not all(part in content for part in _CREDENTIALS):
                raise Unsuitable(f"{path} has not both a user's JWT and its seed: let nsc write it anew")
        try:
            return super()._connect_command()
        except Exception as error:
            raise Unsuitable(f"our credentials cannot be read: {error!r}") from error

    async def _process_err(self, err_msg: str) -> None:
        """Reconnects after an error such as too many connections or expired credentials: nats-py would close itself."""
        if _FORBIDDEN in err_msg:  # it concerns one request, and not the connection
            await super()._process_err(err_msg)
            return
        error = NatsError("nats: " + err_msg.strip("'"))
        await self._error_cb(error)
        await self._process_op_err(error)


def _is_refusal(error: BaseException) -> bool:
    """Whether the server does not accept our credentials: waiting does not change that."""
    text = str(error).lower()
    return "authorization" in text or "authentication" in text


def _cause_of(error: BaseException) -> str:
    """Returns the message of the client or the system in plain words."""
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ssl.SSLError):
        return error.strerror.lower()
    text = " ".join(str(error).split()).removeprefix("nats: ").strip("'")
    return text or type(error).__name__


ANSWER_WITHIN = 5.0
"""Seconds within which a request must be answered. A leader that dies is replaced in 4 to 8 s."""

AT_ONCE = 500
"""The most requests in flight: servers bound their queues."""

_CONNECT_WITHIN = 2
_TRIES = 2
"""Attempts a server before there is a connection. After one was lost, attempts do not end."""

_PING_EVERY = 2
_NO_RESPONDERS = "503"
_FORBIDDEN_SUBJECT = re.compile('permissions violation for (?:publish|subscription) to "([^"]+)"', re.IGNORECASE)


TOO_LARGE = 10054
"""JetStream's code for a message that is larger than it takes."""


class Unanswered(Exception):
    """There was no answer: whether the request took effect is not known. The message says why."""


class Refused(Exception):
    """JetStream answered with an error. `code` is its `err_code`."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(description)
        self.code = code


def decode_response(answer: bytes) -> Mapping[str, Any]:
    """Returns the answer to an API request or a published message. Raises Refused if it is an error."""
    response: Mapping[str, Any] = msgspec.json.decode(answer)
    if (error := response.get("error")) is not None:
        raise Refused(error.get("err_code", 0), error.get("description", "it does not say why"))
    return response


@dataclass(frozen=True, slots=True)
class Request:
    """A message to be answered."""

    subject: str
    body: bytes = b""
    headers: Mapping[str, str] | None = None

    @property
    def size(self) -> int:
        """The bytes of body and headers, as a server counts them."""
        headers = (len(name) + len(value) + 4 for name, value in (self.headers or {}).items())
        return len(self.body) + (sum(headers) + 12 if self.headers else 0)


@dataclass(slots=True)
class _Batch:
    """Requests that were sent together, and their answers as they come. `done` resolves with the last."""

    requests: Sequence[Request]
    answers: list[bytes | None]
    missing: int
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def set_answer(self, place: int, answer: bytes) -> None:
        if self.answers[place] is None:
            self.answers[place] = answer
            self.missing -= 1
            if self.missing == 0 and not self.done.done():
                self.done.set_result(None)


class JetStream:
    """A connection to a NATS cluster. Made by `open`, ended by `aclose`; reconnects by itself.

    While it is not connected, requests fail at once: none waits in a buffer, to be sent when it is no longer true.
    """

    def __init__(self, address: NatsAddress) -> None:
        self.address = address
        self._client = CheckingClient()
        self._inbox = ""
        self._batches: dict[int, _Batch] = {}
        self._numbers = count(1)
        self._error: Exception | None = None
        self._inbox_error = ""

    @classmethod
    async def open(cls, address: NatsAddress) -> Self:
        """Connects. Raises ConfigurationError if we are refused, Unanswered if no server can be reached."""
        tls = _tls_context(address)
        stream = cls(address)
        try:
            await stream._connect(tls)
        except BaseException:
            await stream.aclose()
            raise
        return stream

    @property
    def client(self) -> CheckingClient:
        """The client of nats-py, for subscriptions."""
        return self._client

    @property
    def is_connected(self) -> bool:
        return self._client.is_connected

    @property
    def is_clustered(self) -> bool:
        """Whether the server that we are connected to belongs to a cluster."""
        return bool(self._server_info.get("cluster"))

    @property
    def has_jetstream(self) -> bool:
        """Whether the server that we are connected to runs JetStream, or is in a cluster where another may."""
        return self.is_clustered or bool(self._server_info.get("jetstream", False))

    @property
    def _server_info(self) -> dict[str, Any]:
        return self._client._server_info  # noqa: SLF001  nats-py does not publish it

    def at(self, address: NatsAddress) -> Self:
        """Returns the same connection for another address on this cluster. `aclose` ends it for both."""
        shared = copy.copy(self)
        shared.address = address
        return shared

    async def aclose(self) -> None:
        self._fail_all("the connection was closed")
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            await self._client.close()

    async def ask(self, requests: Sequence[Request], within: float = ANSWER_WITHIN) -> list[bytes]:
        """Sends requests in order, up to AT_ONCE together, and returns their answers in the same order.

        Raises Unanswered if one has no answer `within` so many seconds, Refused if one is too large to be sent.
        """
        answers: list[bytes] = []
        for first in range(0, len(requests), AT_ONCE):
            answers += await self._ask(requests[first : first + AT_ONCE], within)
        return answers

    async def call(
        self, api: str, body: Mapping[str, Any] | None = None, within: float = ANSWER_WITHIN
    ) -> Mapping[str, Any]:
        """Makes one request to JetStream's API. Raises Unanswered or Refused."""
        request = Request(f"$JS.API.{api}", b"" if body is None else msgspec.json.encode(body))
        (answer,) = await self.ask([request], within)
        return decode_response(answer)

    async def _ask(self, requests: Sequence[Request], within: float) -> list[bytes]:
        if self._inbox_error:
            raise Unanswered(self._inbox_error)
        number, batch = next(self._numbers), _Batch(requests, [None] * len(requests), len(requests))
        self._batches[number] = batch
        try:
            async with asyncio.timeout(within):
                for place, request in enumerate(requests):
                    if request.size > self._client.max_payload:  # the server would close the connection
                        raise Refused(TOO_LARGE, "the message is larger than the server allows")
                    headers = None if request.headers is None else dict(request.headers)
                    reply = f"{self._inbox}.{number}.{place}"
                    await self._client.publish(request.subject, request.body, reply=reply, headers=headers)
                await batch.done
        except TimeoutError:
            raise Unanswered(f"no answer within {within:g}s") from None
        except (NatsError, OSError) as error:
            raise Unanswered(_cause_of(error)) from error
        finally:
            del self._batches[number]
            if batch.done.done() and not batch.done.cancelled():
                batch.done.exception()
        return [answer for answer in batch.answers if answer is not None]

    async def _connect(self, tls: ssl.SSLContext | None) -> None:
        address = self.address
        try:
            with propagating_cancellation():
                await self._client.connect(
                    servers=list(address.servers),
                    name="healthprobe",
                    connect_timeout=_CONNECT_WITHIN,
                    reconnect_time_wait=1,
                    max_reconnect_attempts=_TRIES - 1,
                    ping_interval=_PING_EVERY,
                    max_outstanding_pings=2,
                    pending_size=0,
                    allow_reconnect=True,
                    tls=tls,
                    user_credentials=address.creds,
                    **address.credentials,
                    error_cb=self._on_error,
                    disconnected_cb=self._on_disconnect,
                )
        except (NatsError, OSError, TimeoutError) as error:
            cause = self._error or error
            if isinstance(cause, Unsuitable):
                raise ConfigurationError(f"{address.name}: {cause}") from error
            if _is_refusal(cause):
                refusal = f"{address.name} refuses the connection: {_cause_of(cause)}"
                raise ConfigurationError(f"{refusal}; look at the user and the password in its URL") from error
            raise Unanswered(_cause_of(cause)) from error
        self._client.options["max_reconnect_attempts"] = -1
        self._inbox = self._client.new_inbox()
        await self._client.subscribe(self._answers, cb=self._on_answer)

    @property
    def _answers(self) -> str:
        return f"{self._inbox}.*.*"

    async def _on_answer(self, message: Msg) -> None:
        number, place = message.subject[len(self._inbox) + 1 :].split(".")
        batch = self._batches.get(int(number))
        if batch is None:
            return
        if message.headers and message.headers.get("Status") == _NO_RESPONDERS:
            self._fail(batch, "JetStream is not there: no server leads it, or it is switched off")
        else:
            batch.set_answer(int(place), message.data)

    async def _on_error(self, error: Exception) -> None:
        """Keeps the error for `open`, and fails requests that are not permitted: these have no answer."""
        if forbidden := _FORBIDDEN_SUBJECT.search(str(error)):
            if forbidden[1] == self._answers.lower():
                self._inbox_error = 'permissions violation for subscription to "_INBOX.>"'
                self._fail_all(self._inbox_error)
            self._fail_those_to(forbidden[1], _cause_of(error))
        if self._error is None or not _is_refusal(self._error):  # after a refusal a server may reset connections
            self._error = error

    async def _on_disconnect(self) -> None:
        self._inbox_error = ""
        self._fail_all("the connection broke")

    def _fail_those_to(self, subject: str, why: str) -> None:
        """Fails the requests to a subject that our user may not publish to. nats-py gives it in small letters."""
        for batch in list(self._batches.values()):
            if any(request.subject.lower() == subject for request in batch.requests):
                self._fail(batch, why)

    def _fail_all(self, why: str) -> None:
        for batch in list(self._batches.values()):
            self._fail(batch, why)

    def _fail(self, batch: _Batch, why: str) -> None:
        if not batch.done.done():
            batch.done.set_exception(Unanswered(why))


def _tls_context(address: NatsAddress) -> ssl.SSLContext | None:
    if address.ca is None and not address.name.startswith("tls:"):
        return None
    try:
        return ssl.create_default_context(cafile=address.ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{address.name}: {address.ca} is no file of certificates") from error
