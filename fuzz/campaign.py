"""The campaign: feeds each target with its inputs until one is a finding."""

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
"""By how many bytes a target may make the process grow after its warm-up, when caches are full."""

_WARM_UP = 0.4
"""The share of a target's inputs after which memory is measured first."""

_LONG = 0.05
_SAY_EVERY = 15.0
"""How often, in seconds, progress is said of a target whose inputs may take so long each."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of a target. `literal` is the input as a Python literal, or empty if memory grew."""

    target: str
    fault: str
    literal: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a target: how many `inputs` it got and `refused`, the seconds, and the growth in bytes."""

    target: str
    inputs: int
    refused: int
    seconds: float
    growth: int
    finding: Finding | None = None


Say = Callable[[str], None]


def portions(targets: Sequence[Target], total: int) -> list[int]:
    """Divides `total` inputs among the targets, by their shares."""
    whole = sum(target.share for target in targets)
    ends = [round(total * sum(each.share for each in targets[: place + 1]) / whole) for place in range(len(targets))]
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def campaign(targets: Sequence[Target], total: int, seed: int, say: Say, *, patience: float = PATIENCE) -> list[Result]:
    """Feeds all targets. A target ends at its first finding; the others go on."""
    results = []
    with watchdog():
        for target, inputs in zip(targets, portions(targets, total), strict=True):
            with target.around():
                results.append(_fed(target, inputs, seed, patience, say))
            last = results[-1]
            say(f"{last.target}: {last.inputs:,} inputs in {last.seconds:.1f}s" + (" FOUND" if last.finding else ""))
    return results


def _fed(target: Target, inputs: int, seed: int, patience: float, say: Say) -> Result:
    draw = target.source(Random(f"{seed}/{target.name}"))
    began, refused, warm = time.monotonic(), 0, memory()
    said = began
    finding = None
    number = 0
    for number in range(1, inputs + 1):
        given = draw()
        outcome = _outcome_of(target, given, patience)
        if isinstance(outcome, str):
            finding = Finding(target.name, outcome, literal_of(given))
            break
        refused += outcome
        if number == int(inputs * _WARM_UP):
            del given
            warm = memory()
        if target.seconds >= _LONG and time.monotonic() - said > _SAY_EVERY:
            said = time.monotonic()
            say(f"{target.name}: {number:,} of {inputs:,} inputs after {said - began:.0f}s")
    seconds = time.monotonic() - began
    growth = memory() - warm
    if finding is None and growth > GROWTH_BOUND:
        finding = Finding(
            target.name, f"grew by {growth / 2**20:.1f} MiB over the last {1 - _WARM_UP:.0%} of its inputs"
        )
    return Result(target.name, number, refused, seconds, growth, finding)


def _outcome_of(target: Target, given: Any, patience: float) -> bool | str:
    """Returns whether the target refused the input, or the fault as a sentence."""
    try:
        with armed(patience):
            target.feed(given)
    except target.refusals:
        return True
    except Hung:
        return f"took longer than {patience:g}s"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  any other exception is a finding
        return f"raised {type(error).__name__}: {str(error)[:200]}"
    return False
