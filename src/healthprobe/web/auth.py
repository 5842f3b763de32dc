"""The guard: who may read, and what a browser may do with what it has read."""

from __future__ import annotations

import hmac
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from healthprobe.web.responses import refusal

_OPEN_TO_ALL = "/healthz"

_CHALLENGE = 'Basic realm="healthprobe: the token is the password", charset="UTF-8"'
"""A browser asks its user, and sends what it was told with every request, also of a stream."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Lets those through who know the token, where there is one, and on loopback those alone who mean loopback.

    A page of somebody else's, opened on this machine, can have its own name point to 127.0.0.1 and read what we tell:
    its requests still carry that name as their Host. With a token no name need be known: it does not have the token.
    """

    def __init__(self, app: ASGIApp, *, token: str | None) -> None:
        self._app = app
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        turned_away = None
        if self._token is None and not _means_loopback(headers.get("host", "")):
            turned_away = refusal(421, "this prober is only told of on loopback, and your request names another host")
        elif self._token is not None and scope["path"] != _OPEN_TO_ALL and not self._knows_token(headers):
            turned_away = refusal(401, "send the token of HEALTHPROBE_TOKEN: Authorization: Bearer …")
            turned_away.headers["WWW-Authenticate"] = _CHALLENGE

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await (turned_away or self._app)(scope, receive, send_with_headers)

    def _knows_token(self, headers: Headers) -> bool:
        assert self._token is not None
        scheme, _, told = headers.get("authorization", "").partition(" ")
        token = _password_in(told.strip()) if scheme.lower() == "basic" else told.strip().encode()
        return scheme.lower() in {"basic", "bearer"} and hmac.compare_digest(token, self._token)


def _password_in(credentials: str) -> bytes:
    try:
        return b64decode(credentials, validate=True).partition(b":")[2]
    except (NotBase64, ValueError):
        return b""


def _means_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and not host.endswith("]") else host
    name = name.removeprefix("[").removesuffix("]")
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
