"""Checks responses: the status, the body, and the game that an identity header names."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from healthprobe._util.text import shorten
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, Healthy
from healthprobe.domain.probe.json_path import ValueNotFound, value_at
from healthprobe.domain.probe.probe_settings import PLAIN, Expectation, JsonValue
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.answers.body_text import UndecodableBody, decompress, to_text
from healthprobe.probing.answers.response import BODY_LIMIT, BodyReader, HeadReader, ResponseReader
from healthprobe.probing.answers.response_cache import WHITESPACE, GameResponseCache, ResponseCache, ResponseTemplate

_MAX_CHECKS = 10_000


class ResponseCheck:
    """Checks the responses of all engines with the same expectation, which share a response cache.

    It `is_plain` if only a status of 200 is expected. With an `identity` header, an answer that names another game
    than the target's is a failure.
    """

    def __init__(self, expect: Expectation = PLAIN.expect, identity: IdentityHeader | None = None) -> None:
        self._expect = expect
        self._identity = identity
        self._cache = ResponseTemplate() if identity is not None else ResponseCache()
        self.is_plain = expect == PLAIN.expect and identity is None

    def cache_for(self, target: ProbeTarget) -> ResponseCache | GameResponseCache:
        """Returns the cache of healthy responses of this target's engine."""
        if isinstance(self._cache, ResponseTemplate):
            assert self._identity is not None
            return GameResponseCache(self._cache, self._identity.values, target.game_id.encode("utf-8", "replace"))
        return self._cache

    def new_reader(self) -> ResponseReader:
        """Returns a reader that keeps what this check needs of a response."""
        if self._expect.reads_body:
            return BodyReader()
        return HeadReader() if self._identity is not None else ResponseReader()

    def expects_status(self, status: int) -> bool:
        return any(first <= status <= last for first, last in self._expect.statuses)

    def check_head(self, reader: ResponseReader, target: ProbeTarget) -> Failed | Healthy | None:
        """Returns the outcome at the end of the head, or None if it depends on the body."""
        other = None if self._identity is None else self._identity.find_other_game(reader.head, target.game_id)
        if other is not None:
            return Failed(reader.status, f"answered by {other}", FailureKind.IDENTITY)
        if not self.expects_status(reader.status):
            return Failed(reader.status, f"unexpected status {reader.status}")
        return None if self._expect.reads_body else HEALTHY

    def check_body(self, reader: BodyReader) -> Failed | Healthy:
        """Returns the outcome for the body, or its first BODY_LIMIT bytes.

        A text is searched in the body as it was sent, in UTF-8, and as it reads decoded.
        """
        expect, status = self._expect, reader.status
        text, head, body = expect.body_contains, reader.head, reader.body
        is_found = text is None or text.encode() in body
        if is_found and expect.json_path is None:
            return HEALTHY
        try:
            body = decompress(head, body, BODY_LIMIT, is_whole=not reader.is_full)
        except UndecodableBody as undecodable:
            return Failed(status, str(undecodable), FailureKind.BODY)
        if text is not None and not is_found and text.encode() not in body and text not in to_text(head, body):
            return Failed(status, f"body does not contain {_to_json(text)}", FailureKind.BODY)
        if expect.json_path is None:
            return HEALTHY
        error = _check_json(head, body, expect.json_path, expect.json_value)
        return HEALTHY if error is None else Failed(status, error, FailureKind.BODY)


class IdentityHeader:
    """The header in which an engine names its game."""

    def __init__(self, name: str) -> None:
        self.values = re.compile(
            rb"\r?\n" + re.escape(name.encode("ascii")) + rb"[ \t]*:([^\r\n]*)(?=\r?\n)", re.IGNORECASE
        )
        """Matches values with the whitespace around them; finding its end would take quadratic time."""

    def find_other_game(self, head: bytes, game_id: str) -> str | None:
        """Returns the first game in `head` other than this one, or None."""
        for found in self.values.finditer(head):
            if (name := found[1].strip(WHITESPACE)) not in _encodings(game_id):
                return shorten(name.decode("utf-8", "replace"), 200) or "a game without a name"
        return None


class ResponseChecks:
    """The check of each expectation, made on first use. All have the same identity header."""

    def __init__(self, identity_header: str | None) -> None:
        self._identity = None if identity_header is None else IdentityHeader(identity_header)
        self._checks: dict[Expectation, ResponseCheck] = {}
        self._canary_check = ResponseCheck()

    def for_target(self, target: ProbeTarget) -> ResponseCheck:
        if not target.is_game:
            return self._canary_check
        expect = target.settings.expect
        check = self._checks.get(expect)
        if check is None:
            if len(self._checks) >= _MAX_CHECKS:
                self._checks.clear()
            check = self._checks[expect] = ResponseCheck(expect, self._identity)
        return check


def _encodings(game_id: str) -> tuple[bytes, ...]:
    """Returns an id as engines may write it into a header: in UTF-8, in Latin-1, or percent-encoded."""
    return (
        game_id.encode("utf-8", "replace"),
        game_id.encode("latin-1", "replace"),
        quote(game_id, safe="").encode(),
    )


def _check_json(head: bytes, body: bytes, path: str, expected: JsonValue) -> str | None:
    """Returns what is wrong with the value at `path` of a JSON body, or None if it is the expected one."""
    try:
        found = value_at(_parse_json(head, body), path)
    except ValueNotFound:
        return f"{path} is not in the body"
    except (ValueError, RecursionError):
        return "body is not JSON"
    is_equal = isinstance(found, bool) == isinstance(expected, bool) and found == expected
    return None if is_equal else f"{path} is {_to_json(found)}, not {_to_json(expected)}"


def _parse_json(head: bytes, body: bytes) -> object:
    """Returns the value of a body in one of the encodings of JSON, or in the charset that its head names."""
    try:
        return json.loads(body)
    except UnicodeDecodeError:
        return json.loads(to_text(head, body))


def _to_json(value: object) -> str:
    return shorten(json.dumps(value, ensure_ascii=False, default=str), 100)
