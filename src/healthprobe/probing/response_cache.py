"""The precedent: a response that was read and found healthy, so that its like need not be read again."""

from __future__ import annotations

import re

BLANKS = b" \t"
"""What may stand around the value of a header."""

LONGEST = 4096
"""The longest response that is remembered, in bytes."""


class Precedent:
    """The bytes of the last whole response that was healthy and left its connection usable, of whichever engine.

    What a response means depends on its bytes alone, and engines of one build answer alike, to the second of their Date
    header. Comparing costs a twentieth of parsing, and a connection that only ever sees precedents needs no parser.
    """

    __slots__ = ("response",)

    def __init__(self) -> None:
        self.response = b""

    def remember(self, response: bytes) -> None:
        if len(response) <= LONGEST:
            self.response = response


class SharedPrecedent:
    """A response with a blank where each engine names its own game: what was before it, and what came after."""

    __slots__ = ("after", "before", "has_blank")

    def __init__(self) -> None:
        self.before = self.after = b""
        self.has_blank = False


class OwnPrecedent:
    """A shared precedent as one engine would send it: with its own game in the blank."""

    __slots__ = ("_own", "_shared", "_values_in")

    def __init__(self, shared: SharedPrecedent, values_in: re.Pattern[bytes], own: bytes) -> None:
        self._shared = shared
        self._values_in = values_in
        self._own = own

    @property
    def response(self) -> bytes:
        shared = self._shared
        return shared.before + self._own + shared.after if shared.has_blank else shared.before

    def remember(self, response: bytes) -> None:
        """Remember a response that names this game once, or nobody."""
        if len(response) > LONGEST:
            return
        shared, found = self._shared, list(self._values_in.finditer(response))
        if not found:
            shared.before, shared.after, shared.has_blank = response, b"", False
        elif len(found) == 1 and found[0][1].strip(BLANKS) == self._own:
            start = found[0].start(1) + found[0][1].index(self._own)
            end = start + len(self._own)
            shared.before, shared.after, shared.has_blank = response[:start], response[end:], True
