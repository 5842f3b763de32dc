"""Authentication, protection against DNS rebinding, and the security headers of every response."""

from __future__ import annotations

import hmac
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
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
    With a token it is not needed, as that page does not have the token; nor at a unix socket, which no page reaches.
    /healthz answers everybody. `request.state.is_reader` says whether the client may read everything.
    """

    def __init__(self, app: ASGIApp, *, token: str | None) -> None:
        self._app = app
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = in_origin_form(scope)
        refusal = self._refusal(scope)
        scope["state"] = {**scope.get("state", {}), "is_reader": refusal is None}
        if scope["path"].strip("/") == _PUBLIC_PATH.strip("/"):  # a checker may add a slash
            scope["path"], refusal = _PUBLIC_PATH, None

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._token is None and not _is_at_unix_socket(scope) and not is_loopback(_without_port(host)):
            only = f"without a token the API answers only requests for localhost (got Host: {host[:100]})"
            return error_response(421, f"{only}: behind a proxy set HEALTHPROBE_TOKEN, or listen at a unix socket")
        if self._token is not None and not _has_token(headers, self._token):
            response = error_response(401, "send the token of HEALTHPROBE_TOKEN: Authorization: Bearer …")
            response.headers["WWW-Authenticate"] = _CHALLENGE
            return response
        return None


def in_origin_form(scope: Scope) -> Scope:
    """Returns `scope` with the target `http://HOST/PATH` as `/PATH`, and HOST in place of what the Host header says.

    A client sends that form to a proxy, and every server must take it (RFC 9112, 3.2.2).
    """
    scheme, found, rest = scope.get("raw_path", b"").partition(b"://")
    if not found or scheme.lower() not in {b"http", b"https"}:
        return dict(scope)
    host, _, path = rest.partition(b"/")
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    path = b"/" + path
    return {**scope, "path": unquote(path), "raw_path": path, "headers": [(b"host", host), *headers]}


def _is_at_unix_socket(scope: Scope) -> bool:
    server = scope.get("server")
    return server is not None and server[1] is None


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
