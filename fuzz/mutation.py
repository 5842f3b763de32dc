"""The mutator: makes broken inputs from valid ones.

Hypothesis describes inputs well, but is a hundred times too slow for a million of them. A fuzzer guided by coverage
(atheris) has to instrument every module, and to be built for each Python. What breaks parsers of text is known: cuts,
repetitions, nesting, and tokens of the language in the wrong place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from random import Random

LONGEST = 70_000
"""The longest input in bytes: just beyond the limits of a head and of a body."""

_WHOLE_SHARE = 0.02
"""The share of valid inputs: what a parser keeps of them must not affect the next ones."""

_LONG_SHARE = 0.004
_NEST_SHARE = 0.004
_DEEPEST = 1_500
_HARDLY_READ = (sys.getrecursionlimit() - 120, sys.getrecursionlimit())
"""Depths that a parser can just read, but that later code may not be able to handle."""

_MOST_CUTS = 4
_PAIRS = ((b"[", b"]"), (b'{"a":', b"}"), (b"{a: ", b"}"), (b"- ", b""), (b"(", b")"))

COMMON = (
    *(bytes([number]) for number in (0, 9, 10, 13, 27, 32, 34, 39, 44, 45, 46, 47, 58, 64, 91, 92, 93, 123, 125, 127)),
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xc3\x28",
    "\u2028".encode(),
    "\u202e".encode(),
    "ß٣½".encode(),
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"-Infinity",
    b"9223372036854775808",
    b"340282366920938463463374607431768211456",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'""',
    b'"\\ud800"',
    b"\\u0000",
    b"%00",
    b"%ff",
    b" - at `$.a[0]",
)
"""Tokens that break parsers of any kind."""


class Mutator:
    """Makes inputs from `seeds`, with `tokens` of their language. The same `random` gives the same inputs."""

    def __init__(self, random: Random, seeds: Sequence[bytes], tokens: Sequence[bytes] = ()) -> None:
        self._random = random
        self._seeds = seeds
        self._tokens = (*COMMON, *tokens, *tokens)
        self._ways: tuple[Callable[[bytes], bytes], ...] = (
            self._spliced,
            self._flipped,
            self._truncated,
            self._without_a_part,
            self._repeated,
            self._with_a_token,
            self._with_a_token,
            self._with_a_token,
            self._swapped,
        )

    def draw(self) -> bytes:
        """Returns the next input, of at most `LONGEST` bytes."""
        random = self._random
        data = random.choice(self._seeds)
        for _ in range(random.randint(1, _MOST_CUTS) if random.random() > _WHOLE_SHARE else 0):
            data = random.choice(self._ways)(data)
        chance = random.random()
        if chance < _LONG_SHARE:
            data = self._very_long(data)
        elif chance < _LONG_SHARE + _NEST_SHARE:
            data = self._nested(data)
        return data[:LONGEST]

    def _place(self, data: bytes) -> int:
        return self._random.randint(0, len(data))

    def _part(self, data: bytes) -> tuple[int, int]:
        begin = self._place(data)
        return begin, min(begin + 1 + int(self._random.expovariate(0.15)), len(data))

    def _spliced(self, data: bytes) -> bytes:
        other = self._random.choice(self._seeds)
        return data[: self._place(data)] + other[self._place(other) :]

    def _flipped(self, data: bytes) -> bytes:
        if not data:
            return data
        place = self._random.randrange(len(data))
        return data[:place] + bytes([data[place] ^ (1 << self._random.randrange(8))]) + data[place + 1 :]

    def _truncated(self, data: bytes) -> bytes:
        return data[: self._place(data)]

    def _without_a_part(self, data: bytes) -> bytes:
        begin, end = self._part(data)
        return data[:begin] + data[end:]

    def _repeated(self, data: bytes) -> bytes:
        begin, end = self._part(data)
        return data[:end] + data[begin:end] * self._random.randint(1, 20) + data[end:]

    def _with_a_token(self, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] + self._random.choice(self._tokens) + data[place:]

    def _swapped(self, data: bytes) -> bytes:
        begin, end = self._part(data)
        return data[:begin] + self._random.choice(self._tokens) + data[end:]

    def _very_long(self, data: bytes) -> bytes:
        """Repeats a byte, a token or a part of the input, which shows code of more than linear time."""
        begin, end = self._part(data)
        token = self._random.choice(self._tokens)
        filling = self._random.choice((data[begin : begin + 1], data[begin:end], token, b" ", b"9"))
        times = self._random.choice((5_000, 30_000, 60_000, LONGEST)) // max(len(filling), 1)
        return data[:begin] + filling * times + data[begin : begin + 100]

    def _nested(self, data: bytes) -> bytes:
        opening, closing = self._random.choice(_PAIRS)
        depth = self._random.choice((self._random.randint(1, _DEEPEST), self._random.randint(*_HARDLY_READ)))
        begin, end = self._value(data) if self._random.random() < 0.5 else self._part(data)
        inner = self._random.choice((b"", b"1", data[begin:end]))
        return data[:begin] + opening * depth + inner + closing * depth + data[end:]

    def _value(self, data: bytes) -> tuple[int, int]:
        """Guesses where a value begins and ends, by colons, commas and brackets."""
        begin = data.find(b":", self._place(data)) + 1
        ends = [place for sign in (b",", b"}", b"\n") if (place := data.find(sign, begin)) >= 0]
        return begin, min(ends, default=len(data))


def as_text(data: bytes) -> str:
    """Decodes an input. Invalid bytes become lone surrogates, which JSON can carry too."""
    return data.decode("utf-8", "surrogateescape")
