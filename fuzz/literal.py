"""The literal: an input as Python reads it, short enough to be copied from a terminal."""

from __future__ import annotations

import datetime as dt
import zlib
from base64 import b85decode, b85encode
from decimal import Decimal
from typing import Any

_LONGEST = 4_000


def literal_of(given: Any) -> str:
    """An expression that gives the input again; a long text is packed in it, and `given_by` reads either.

    Values are made of literals, dates and decimals; `inf` and `nan` stand for themselves.
    """
    literal = repr(given)
    if len(literal) <= _LONGEST:
        return literal
    packed = b85encode(zlib.compress(literal.encode("utf-8", "surrogatepass"), 9)).decode()
    return f"unpacked({packed!r})"


def unpacked(packed: str) -> Any:
    """The input that `literal_of` has packed."""
    return given_by(zlib.decompress(b85decode(packed)).decode("utf-8", "surrogatepass"))


def given_by(literal: str) -> Any:
    """The input that an expression of `literal_of` stands for. Only for what this program has printed itself."""
    names = {"inf": float("inf"), "nan": float("nan"), "datetime": dt, "Decimal": Decimal, "unpacked": unpacked}
    return eval(literal, names)
