"""The standard: by what an answer is judged, whether at its head or by its body, and from whom it must come."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from healthprobe._util.text import shorten
from healthprobe.domain.json_path import ValueNotFound, value_at
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, Healthy
from healthprobe.domain.probe_settings import PLAIN, Expectation, JsonValue
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.response import BodyReader, HeadReader, ResponseReader
from healthprobe.probing.response_cache import BLANKS, OwnPrecedent, Precedent, SharedPrecedent

_MOST_STANDARDS = 10_000


class Standard:
    """What engines of one expectation are held to. `waits_for_body` tells that the head alone does not decide.

    With an `identity` header, an answer that names another game than the one asked is a failure. Engines of one
    standard share a precedent.
    """

    def __init__(self, expect: Expectation = PLAIN.expect, identity: IdentityHeader | None = None) -> None:
        self._expect = expect
        self._identity = identity
        self._precedent = SharedPrecedent() if identity is not None else Precedent()
        self.is_exacting = expect != PLAIN.expect or identity is not None
        self.waits_for_body = expect.reads_body

    def precedent_of(self, target: ProbeTarget) -> Precedent | OwnPrecedent:
        """The responses that need not be read again, as this target's engine would send them."""
        if isinstance(self._precedent, SharedPrecedent):
            assert self._identity is not None
            return OwnPrecedent(self._precedent, self._identity.values_in, target.game_id.encode("utf-8", "replace"))
        return self._precedent

    def reader(self) -> ResponseReader:
        """What reads a response as far as this needs it."""
        if self.waits_for_body:
            return BodyReader()
        return HeadReader() if self._identity is not None else ResponseReader()

    def expects(self, status: int) -> bool:
        """Whether an answer with this status may be healthy."""
        return any(first <= status <= last for first, last in self._expect.statuses)

    def at_head(self, reader: ResponseReader, target: ProbeTarget) -> Failed | Healthy | None:
        """The verdict once the head has ended; None where it takes the body."""
        if (
            self._identity is not None
            and (other := self._identity.stranger_in(reader.head, target.game_id)) is not None
        ):
            return Failed(reader.status, f"answered by {other}", FailureKind.IDENTITY)
        if not self.expects(reader.status):
            return Failed(reader.status, f"unexpected status {reader.status}")
        return None if self.waits_for_body else HEALTHY

    def by_body(self, body: bytes, status: int) -> Failed | Healthy:
        """The verdict on what came after the head, or as much of it as counts."""
        expect = self._expect
        if expect.body_contains is not None and expect.body_contains.encode() not in body:
            return Failed(status, f"body does not contain {_shown(expect.body_contains)}", FailureKind.BODY)
        if expect.json_path is None:
            return HEALTHY
        fault = _fault_in(body, expect.json_path, expect.json_value)
        return HEALTHY if fault is None else Failed(status, fault, FailureKind.BODY)


class IdentityHeader:
    """The header in which an engine names its game."""

    def __init__(self, name: str) -> None:
        self.values_in = re.compile(
            rb"\r?\n" + re.escape(name.encode("ascii")) + rb"[ \t]*:([^\r\n]*)(?=\r?\n)", re.IGNORECASE
        )
        """Takes the blanks around a value as well: to look for their end takes a time that grows with their square."""

    def stranger_in(self, head: bytes, game_id: str) -> str | None:
        """The first game in `head` that is not this one; None where it names this one alone, or nobody."""
        for found in self.values_in.finditer(head):
            if (name := found[1].strip(BLANKS)) not in _written(game_id):
                return shorten(name.decode("utf-8", "replace"), 200) or "a game without a name"
        return None


class Standards:
    """The standard of each expectation, made when it is first asked for. All share one identity header."""

    def __init__(self, identity_header: str | None) -> None:
        self._identity = None if identity_header is None else IdentityHeader(identity_header)
        self._known: dict[Expectation, Standard] = {}
        self._of_strangers = Standard()

    def of(self, target: ProbeTarget) -> Standard:
        if not target.is_game:
            return self._of_strangers
        expect = target.settings.expect
        standard = self._known.get(expect)
        if standard is None:
            if len(self._known) >= _MOST_STANDARDS:
                self._known.clear()
            standard = self._known[expect] = Standard(expect, self._identity)
        return standard


def _written(game_id: str) -> tuple[bytes, ...]:
    """An id as engines may write it into a header: in UTF-8, in Latin-1, or percent-encoded."""
    return (
        game_id.encode("utf-8", "replace"),
        game_id.encode("latin-1", "replace"),
        quote(game_id, safe="").encode(),
    )


def _fault_in(body: bytes, path: str, wanted: JsonValue) -> str | None:
    """What is wrong with what stands at `path` in a body that should be JSON; None where it is what is wanted."""
    try:
        found = value_at(json.loads(body), path)
    except ValueNotFound:
        return f"{path} is not in the body"
    except (ValueError, RecursionError):
        return "body is not JSON"
    are_alike = isinstance(found, bool) == isinstance(wanted, bool) and found == wanted
    return None if are_alike else f"{path} is {_shown(found)}, not {_shown(wanted)}"


def _shown(value: object) -> str:
    return shorten(json.dumps(value, ensure_ascii=False, default=str), 100)
