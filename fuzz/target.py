"""A target: a parser, its inputs, and the errors with which it may refuse them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from random import Random
from typing import Any

from fuzz.mutation import Mutator, as_text

Draw = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Target:
    """`source` gives, for a random, what draws inputs; `feed` gives one to the parser, which may raise `refusals`.

    `share` is how many inputs it gets, relative to those of the others: cheap parsers get more. `around` is
    entered before the first input and left after the last one: a server, or a folder. `seconds` is what an input may
    take on average, on a busy machine.
    """

    name: str
    source: Callable[[Random], Draw]
    feed: Callable[[Any], object]
    refusals: tuple[type[Exception], ...] = ()
    share: float = 4
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    seconds: float = 0.005


def mutated(seeds: Sequence[bytes], tokens: Sequence[bytes] = ()) -> Callable[[Random], Draw]:
    """Returns a source of bytes."""
    return lambda random: Mutator(random, seeds, tokens).draw


def texts(seeds: Sequence[str], tokens: Sequence[str] = ()) -> Callable[[Random], Draw]:
    """Returns a source of texts, with lone surrogates among them."""

    def source(random: Random) -> Draw:
        mutator = Mutator(random, [seed.encode() for seed in seeds], [token.encode() for token in tokens])
        return lambda: as_text(mutator.draw())

    return source
