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
"""The version from which on nats-server has what we ask of it: values that expire one by one, and are told of then."""

_NO_TLS = "it does not speak TLS: give it a certificate, or write nats:// without ?ca= where the network is yours alone"
_VERSION = re.compile(r"(\d+)\.(\d+)")
_FORBIDDEN = "permissions violation"
_CREDENTIALS = (b"BEGIN NATS USER JWT", b"BEGIN USER NKEY SEED")


class UnsuitableServer(NatsError):
    """A server that we want nothing to do with. The message says why, and what to change."""


@contextmanager
def heeding_cancellation() -> Iterator[None]:
    """Raise CancelledError at the end of the context where its task was cancelled in it and has not been told.

    Before Python 3.12 asyncio.wait_for, by which nats-py connects and asks, forgets a cancellation that comes at the
    moment of the answer (python/cpython#86296): whoever is asked to end then would go on for ever.
    """
    task = asyncio.current_task()
    asked_before = task.cancelling() if task else 0
    yield
    if task and task.cancelling() > asked_before:
        raise asyncio.CancelledError


class UnreadableCredentials(UnsuitableServer):
    """None of our servers can be told who we are."""


class CarefulClient(Client):
    """Says nothing in the clear to a server that should speak TLS, as passwords come first; nor to old ones.

    It ends when it is closed, and not before. Whatever answers in the place of a server, and whatever stands in the
    file of our credentials while somebody writes it, the next try comes: where nats-py meets what it did not expect,
    it tries no more, and it reads a file that has a seed alone for ever. Where a server says an error and hangs up (too
    many connections, credentials that have expired or are not known any more), nats-py closes itself for good. What the
    server said may be mended a minute later.
    """

    async def connect(self, *arguments: Any, **options: Any) -> None:
        with heeding_cancellation():
            await super().connect(*arguments, **options)

    async def close(self) -> None:
        if self._flush_queue is not None:  # else it never began to connect, and nats-py would not have it closed
            await super().close()

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002
        if initial_connection:
            self._examine(info)
        await super()._process_info(info, initial_connection)

    async def _process_connect_init(self) -> None:
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
        if (path := self._user_credentials) is not None:
            told = Path(str(path)).read_bytes()
            if not all(part in told for part in _CREDENTIALS):
                raise UnreadableCredentials(f"{path} has not both a user's JWT and its seed: let nsc write it anew")
        try:
            return super()._connect_command()
        except Exception as error:
            raise UnreadableCredentials(f"our credentials cannot be read: {error!r}") from error

    async def _process_err(self, err_msg: str) -> None:
        if _FORBIDDEN in err_msg:  # it costs one request, and not the connection
            await super()._process_err(err_msg)
            return
        error = NatsError("nats: " + err_msg.strip("'"))
        await self._error_cb(error)
        await self._process_op_err(error)

    def _examine(self, info: dict[str, Any]) -> None:
        if "tls" in self.options and not info.get("tls_required"):
            if not info.get("tls_available"):
                raise UnsuitableServer(_NO_TLS)
            info["tls_required"] = True  # it leaves that to its clients
        version = _VERSION.match(str(info.get("version", "")))
        if version is not None and (int(version[1]), int(version[2])) < OLDEST:
            wanted = ".".join(map(str, OLDEST))
            raise UnsuitableServer(f"it is nats-server {info['version']}: upgrade it, to {wanted} or newer")


def is_refusal(error: BaseException) -> bool:
    """Whether the server wants other credentials than ours: no waiting changes that."""
    told = str(error).lower()
    return "authorization" in told or "authentication" in told


def cause_of(error: BaseException) -> str:
    """What the client or the system says, in words that need no looking up."""
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ssl.SSLError):
        return error.strerror.lower()
    told = " ".join(str(error).split()).removeprefix("nats: ").strip("'")
    return told or type(error).__name__


ANSWER_WITHIN = 5.0
"""Seconds in which a request must be answered. A leader that dies is replaced in 4 to 8 s: then we ask again."""

AT_ONCE = 500
"""The most requests that wait for an answer at once: servers bound their queues."""

_CONNECT_WITHIN = 2
_TRIES = 2
"""How often each server is tried before there is a connection; one that breaks later is sought for ever."""

_PING_EVERY = 2
_NO_RESPONDERS = "503"
_FORBIDDEN_SUBJECT = re.compile('permissions violation for (?:publish|subscription) to "([^"]+)"', re.IGNORECASE)


class Unanswered(Exception):
    """There was no answer: whether the request was obeyed is not known. The message says why."""


class Refused(Exception):
    """JetStream has answered with an error. `code` is its own number for it (`err_code`)."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(description)
        self.code = code


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: its subject, body and headers."""

    subject: str
    body: bytes = b""
    headers: Mapping[str, str] | None = None


@dataclass(slots=True)
class _Questions:
    """Requests that were sent together: their answers as they come, and who waits for the last."""

    requests: Sequence[Request]
    answers: list[bytes | None]
    missing: int
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def take(self, place: int, answer: bytes) -> None:
        if self.answers[place] is None:
            self.answers[place] = answer
            self.missing -= 1
            if self.missing == 0 and not self.done.done():
                self.done.set_result(None)


class JetStream:
    """A connection to a NATS cluster. Made by `open`, ended by `aclose`; it goes on by itself when servers come back.

    While it is not connected every request fails at once: nothing waits in a buffer, from which it would be sent when
    it is no longer true.
    """

    def __init__(self, address: NatsAddress) -> None:
        self.address = address
        self._client = CarefulClient()
        self._inbox = ""
        self._asked: dict[int, _Questions] = {}
        self._numbers = count(1)
        self._trouble: Exception | None = None
        self._deaf_for = ""

    @classmethod
    async def open(cls, address: NatsAddress) -> Self:
        """Connect. Raises ConfigurationError where we are refused, Unanswered where no server can be reached."""
        stream = cls(address)
        try:
            await stream._connect()
        except BaseException:
            await stream.aclose()
            raise
        return stream

    @property
    def client(self) -> CarefulClient:
        """The client, for subscriptions."""
        return self._client

    @property
    def is_connected(self) -> bool:
        return self._client.is_connected

    @property
    def is_clustered(self) -> bool:
        """Whether the server that we are connected to is one of several."""
        return bool(self._client._server_info.get("cluster"))  # noqa: SLF001  there is no other way to ask

    def at(self, address: NatsAddress) -> Self:
        """The same connection, for what `address` names on this cluster. It ends for all who share it."""
        shared = copy.copy(self)
        shared.address = address
        return shared

    async def aclose(self) -> None:
        """Close the connection."""
        self._fail_all("the connection was closed")
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            await self._client.close()

    async def ask(self, requests: Sequence[Request], within: float = ANSWER_WITHIN) -> list[bytes]:
        """The answers, in the order of the requests; those are sent in their order, up to AT_ONCE together.

        Raises Unanswered where one of them has no answer `within` so many seconds after it was sent.
        """
        answers: list[bytes] = []
        for first in range(0, len(requests), AT_ONCE):
            answers += await self._ask(requests[first : first + AT_ONCE], within)
        return answers

    async def call(
        self, api: str, body: Mapping[str, Any] | None = None, within: float = ANSWER_WITHIN
    ) -> Mapping[str, Any]:
        """Ask one question of JetStream's API. Raises Unanswered or Refused."""
        request = Request(f"$JS.API.{api}", b"" if body is None else msgspec.json.encode(body))
        (answer,) = await self.ask([request], within)
        told: Mapping[str, Any] = msgspec.json.decode(answer)
        if (error := told.get("error")) is not None:
            raise Refused(error.get("err_code", 0), error.get("description", "it does not say why"))
        return told

    async def _ask(self, requests: Sequence[Request], within: float) -> list[bytes]:
        if self._deaf_for:
            raise Unanswered(self._deaf_for)
        number, questions = next(self._numbers), _Questions(requests, [None] * len(requests), len(requests))
        self._asked[number] = questions
        try:
            async with asyncio.timeout(within):
                for place, request in enumerate(requests):
                    headers = None if request.headers is None else dict(request.headers)
                    reply = f"{self._inbox}.{number}.{place}"
                    await self._client.publish(request.subject, request.body, reply=reply, headers=headers)
                await questions.done
        except TimeoutError:
            raise Unanswered(f"no answer within {within:g}s") from None
        except (NatsError, OSError) as error:
            raise Unanswered(cause_of(error)) from error
        finally:
            del self._asked[number]
            if questions.done.done() and not questions.done.cancelled():
                questions.done.exception()
        return [answer for answer in questions.answers if answer is not None]

    async def _connect(self) -> None:
        address = self.address
        try:
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
                tls=self._trust(),
                user_credentials=address.creds,
                **address.credentials,
                error_cb=self._on_trouble,
                disconnected_cb=self._on_disconnect,
            )
        except (NatsError, OSError, TimeoutError) as error:
            trouble = self._trouble or error
            if isinstance(trouble, UnsuitableServer):
                raise ConfigurationError(f"{address.name}: {trouble}") from error
            if is_refusal(trouble):
                told = f"{address.name} refuses the connection: {cause_of(trouble)}"
                raise ConfigurationError(f"{told}; look at the user and the password in its URL") from error
            raise Unanswered(cause_of(trouble)) from error
        self._client.options["max_reconnect_attempts"] = -1
        self._inbox = self._client.new_inbox()
        await self._client.subscribe(self._answers, cb=self._on_answer)

    def _trust(self) -> ssl.SSLContext | None:
        if self.address.ca is None and not self.address.name.startswith("tls:"):
            return None
        try:
            return ssl.create_default_context(cafile=self.address.ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"{self.address.name}: {self.address.ca} is no file of certificates") from error

    @property
    def _answers(self) -> str:
        return f"{self._inbox}.*.*"

    async def _on_answer(self, message: Msg) -> None:
        number, place = message.subject[len(self._inbox) + 1 :].split(".")
        questions = self._asked.get(int(number))
        if questions is None:
            return
        if message.headers and message.headers.get("Status") == _NO_RESPONDERS:
            self._fail(questions, "JetStream is not there: no server leads it, or it is switched off")
        else:
            questions.take(int(place), message.data)

    async def _on_trouble(self, trouble: Exception) -> None:
        """What the client tells while it looks for a server: once connected, each request says what that costs."""
        if forbidden := _FORBIDDEN_SUBJECT.search(str(trouble)):
            if forbidden[1] == self._answers.lower():
                self._deaf_for = 'permissions violation for subscription to "_INBOX.>"'
                self._fail_all(self._deaf_for)
            self._fail_those_to(forbidden[1], cause_of(trouble))
        if self._trouble is None or not is_refusal(self._trouble):  # a server that has refused us may reset the next
            self._trouble = trouble

    async def _on_disconnect(self) -> None:
        self._deaf_for = ""
        self._fail_all("the connection broke")

    def _fail_those_to(self, subject: str, why: str) -> None:
        """No answer will come: our user may not send there. nats-py tells the subject in small letters."""
        for questions in list(self._asked.values()):
            if any(request.subject.lower() == subject for request in questions.requests):
                self._fail(questions, why)

    def _fail_all(self, why: str) -> None:
        for questions in list(self._asked.values()):
            self._fail(questions, why)

    def _fail(self, questions: _Questions, why: str) -> None:
        if not questions.done.done():
            questions.done.set_exception(Unanswered(why))
