"""Inputs as Python literals, short enough to copy from a terminal."""

from __future__ import annotations

import datetime as dt
import zlib
from base64 import b85decode, b85encode
from decimal import Decimal
from typing import Any

_LONGEST = 4_000


def literal_of(given: Any) -> str:
    """Returns an expression for the input, compressed if it is long. `given_by` evaluates it.

    Inputs consist of literals, dates and decimals, with `inf` and `nan`.
    """
    literal = repr(given)
    if len(literal) <= _LONGEST:
        return literal
    packed = b85encode(zlib.compress(literal.encode("utf-8", "surrogatepass"), 9)).decode()
    return f"unpacked({packed!r})"


def unpacked(packed: str) -> Any:
    """Returns an input that `literal_of` has compressed."""
    return given_by(zlib.decompress(b85decode(packed)).decode("utf-8", "surrogatepass"))


def given_by(literal: str) -> Any:
    """Evaluates an expression of `literal_of`. Use it only for output of this program."""
    names = {"inf": float("inf"), "nan": float("nan"), "datetime": dt, "Decimal": Decimal, "unpacked": unpacked}
    return eval(literal, names)
