"""The precedent: a response that was read and found healthy, so that its like need not be read again."""

from __future__ import annotations

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
