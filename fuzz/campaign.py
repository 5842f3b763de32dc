"""The campaign: so many inputs for each target, until one of them does what it must not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from fuzz.literal import literal_of
from fuzz.target import Target
from fuzz.watch import PATIENCE, Hung, armed, memory, watchdog

GROWTH_BOUND = 24 * 1024 * 1024
"""The most bytes that one target may add to the process between its warm-up and its end: caches are full by then."""

_WARM_UP = 0.4
"""The share of a target's inputs after which its memory is measured first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a target did that it must not. `literal` is the input as Python reads it, or nothing for a growth."""

    target: str
    fault: str
    literal: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """How a target did: `inputs` that it was fed, how many it `refused`, seconds, and the bytes that it grew by."""

    target: str
    inputs: int
    refused: int
    seconds: float
    growth: int
    finding: Finding | None = None


Say = Callable[[str], None]


def portions(targets: Sequence[Target], total: int) -> list[int]:
    """How many of `total` inputs each target gets, by its share; together they are `total`."""
    whole = sum(target.share for target in targets)
    ends = [total * sum(target.share for target in targets[: place + 1]) // whole for place in range(len(targets))]
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def campaign(targets: Sequence[Target], total: int, seed: int, say: Say, *, patience: float = PATIENCE) -> list[Result]:
    """Feed all targets. A target ends at its first finding; the others go on."""
    results = []
    with watchdog():
        for target, inputs in zip(targets, portions(targets, total), strict=True):
            results.append(_fed(target, inputs, seed, patience))
            told = results[-1]
            say(f"{told.target}: {told.inputs:,} inputs in {told.seconds:.1f}s" + (" FOUND" if told.finding else ""))
    return results


def _fed(target: Target, inputs: int, seed: int, patience: float) -> Result:
    draw = target.source(Random(f"{seed}/{target.name}"))
    began, refused, warm = time.monotonic(), 0, memory()
    finding = None
    number = 0
    for number in range(1, inputs + 1):
        given = draw()
        told = _tried(target, given, patience)
        if isinstance(told, str):
            finding = Finding(target.name, told, literal_of(given))
            break
        refused += told
        if number == int(inputs * _WARM_UP):
            del given
            warm = memory()
    seconds = time.monotonic() - began
    growth = memory() - warm
    if finding is None and growth > GROWTH_BOUND:
        finding = Finding(
            target.name, f"grew by {growth / 2**20:.1f} MiB over the last {1 - _WARM_UP:.0%} of its inputs"
        )
    return Result(target.name, number, refused, seconds, growth, finding)


def _tried(target: Target, given: Any, patience: float) -> bool | str:
    """Whether the input was refused; or what was wrong, in words."""
    try:
        with armed(patience):
            target.feed(given)
    except target.refusals:
        return True
    except Hung:
        return f"took longer than {patience:g}s"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  whatever it is, it is a finding
        return f"raised {type(error).__name__}: {str(error)[:200]}"
    return False
