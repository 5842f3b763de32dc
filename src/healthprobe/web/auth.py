"""Authentication, protection against DNS rebinding, and the security headers of every response."""

from __future__ import annotations

import hmac
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from healthprobe.web.listen_address import is_loopback
from healthprobe.web.responses import error_response

_PUBLIC_PATH = "/healthz"

_CHALLENGE = 'Basic realm="healthprobe: the token is the password", charset="UTF-8"'
"""A browser asks its user for the token, and sends it with every request, also for streams."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class AuthMiddleware:
    """Requires the token if there is one; without a token, answers only requests whose Host is loopback.

    The Host check stops DNS rebinding: a web page whose own name resolves to 127.0.0.1 sends that name as its Host.
    With a token it is not needed, as that page does not have the token.
    """

    def __init__(self, app: ASGIApp, *, token: str | None) -> None:
        self._app = app
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        refusal = None
        if self._token is None and not is_loopback(_without_port(host)):
            error = f"without a token the API answers only requests for localhost (got Host: {host[:100]})"
            refusal = error_response(421, error)
        elif self._token is not None and scope["path"] != _PUBLIC_PATH and not _has_token(headers, self._token):
            refusal = error_response(401, "send the token of HEALTHPROBE_TOKEN: Authorization: Bearer …")
            refusal.headers["WWW-Authenticate"] = _CHALLENGE

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await (refusal or self._app)(scope, receive, send_with_headers)


def _has_token(headers: Headers, token: bytes) -> bool:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    match scheme.lower():
        case "bearer":
            sent = credentials.strip().encode()
        case "basic":
            sent = _basic_password(credentials.strip())
        case _:
            return False
    return hmac.compare_digest(sent, token)


def _basic_password(credentials: str) -> bytes:
    try:
        return b64decode(credentials, validate=True).partition(b":")[2]
    except (NotBase64, ValueError):
        return b""


def _without_port(host: str) -> str:
    """Returns the name or address in a Host header, without port and without the brackets of IPv6."""
    name, _, port = host.rpartition(":")
    if not port.isdecimal() or host.endswith("]"):
        name = host
    return name.removeprefix("[").removesuffix("]")
