"""The client: nats-py's, with an eye on whom it speaks to, and one that lasts until we close it."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError

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
