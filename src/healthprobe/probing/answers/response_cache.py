"""A cache of one response that was found healthy, so that the same bytes need not be parsed again."""

from __future__ import annotations

import re

WHITESPACE = b" \t"
"""The whitespace around the value of a header."""

MAX_SIZE = 4096
"""The longest response that is cached, in bytes."""


class ResponseCache:
    """The last whole response that was healthy and left its connection usable, of any engine.

    The meaning of a response depends on its bytes alone, and engines of one build answer alike within a second of their
    Date header. Comparing costs a twentieth of parsing, and a connection that only sees cached responses needs no
    parser.
    """

    __slots__ = ("response",)

    def __init__(self) -> None:
        self.response = b""

    def store(self, response: bytes) -> None:
        if len(response) <= MAX_SIZE:
            self.response = response


class ResponseTemplate:
    """A response split where each engine names its own game: the bytes `before` and `after` the name."""

    __slots__ = ("after", "before", "has_name")

    def __init__(self) -> None:
        self.before = self.after = b""
        self.has_name = False


class GameResponseCache:
    """A template shared by all engines, filled in with the name of one game."""

    __slots__ = ("_header_values", "_name", "_template")

    def __init__(self, template: ResponseTemplate, header_values: re.Pattern[bytes], name: bytes) -> None:
        self._template = template
        self._header_values = header_values
        self._name = name

    @property
    def response(self) -> bytes:
        template = self._template
        return template.before + self._name + template.after if template.has_name else template.before

    def store(self, response: bytes) -> None:
        """Stores a response that names this game once, or no game."""
        if len(response) > MAX_SIZE:
            return
        template, found = self._template, list(self._header_values.finditer(response))
        if not found:
            template.before, template.after, template.has_name = response, b"", False
        elif len(found) == 1 and found[0][1].strip(WHITESPACE) == self._name:
            start = found[0].start(1) + found[0][1].index(self._name)
            end = start + len(self._name)
            template.before, template.after, template.has_name = response[:start], response[end:], True
