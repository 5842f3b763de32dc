"""What an Alertmanager's refusals mean."""

from __future__ import annotations

import json
from http import HTTPStatus

import aiohttp

from healthprobe.http_client.errors import REDIRECTS, answer_text, first_line, is_web_page, pause_asked_for
from healthprobe.ports import PublishError

_INVALID = frozenset({400, 422})


def refusal(title: str, response: aiohttp.ClientResponse, beginning: bytes, delivered: int) -> PublishError:
    """Returns the error for a response that did not acknowledge. `title` names the Alertmanager.

    Permanent is what Alertmanager says of the content, in JSON (400, 422), and what is too large for it or for a proxy
    (413). A web page is never Alertmanager's word but that of something before it: a login, a proxy. All else may be
    its trouble or our configuration, and is tried again.
    """
    status = response.status
    text = f"{title} {answer_text(response, _said(beginning))}"
    is_invalid = status in _INVALID and response.content_type == "application/json"
    if is_invalid or status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return PublishError(text, permanent=True, delivered=delivered, code=str(status))
    if is_web_page(response):
        text += "; check the URL and its path prefix, and what stands before Alertmanager"
        return PublishError(text, delivered=delivered, code="html")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        text += "; check the user and the secret"
    elif status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        text += "; check the path prefix of the URL"
    retry_after = None if status in REDIRECTS else pause_asked_for(response.headers.get("Retry-After", ""))
    return PublishError(text, delivered=delivered, retry_after=retry_after, code=str(status))


def _said(beginning: bytes) -> str:
    """Returns the first line of an answer. Alertmanager's are a text in JSON, or an object with a `message`."""
    try:
        said = json.loads(beginning)
    except ValueError:
        return first_line(beginning)
    if isinstance(said, dict):
        said = said.get("message", "")
    return first_line(str(said).encode(errors="replace"))
