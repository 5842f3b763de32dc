"""The report: the inputs of each target, how fast they were, and the findings."""

from __future__ import annotations

from collections.abc import Sequence

from fuzz.campaign import GROWTH_BOUND, Result
from fuzz.watch import PATIENCE


def report(results: Sequence[Result], seed: int) -> str:
    """Returns a table with a row for each target, the sum, and every finding with its input."""
    lines = ["| target | inputs | refused | inputs per second | growth |", "| --- | --- | --- | --- | --- |"]
    lines += [_row(each) for each in results]
    inputs, seconds = sum(each.inputs for each in results), sum(each.seconds for each in results)
    lines += [
        f"| all | {inputs:,} | {sum(each.refused for each in results):,} | {inputs / max(seconds, 1e-9):,.0f} | |",
        "",
        f"{inputs:,} inputs in {seconds:.0f} s, seed {seed}. No input may take longer than {PATIENCE:g} s, and no",
        f"target may grow by more than {GROWTH_BOUND // 2**20} MiB after its warm-up.",
    ]
    for each in results:
        if each.finding is not None:
            lines += ["", f"FOUND in {each.target}, input {each.inputs:,}: {each.finding.fault}"]
            lines += [each.finding.literal] if each.finding.literal else []
    return "\n".join(lines)


def _row(result: Result) -> str:
    rate = result.inputs / max(result.seconds, 1e-9)
    growth = f"{max(result.growth, 0) / 2**20:.1f} MiB"
    return f"| {result.target} | {result.inputs:,} | {result.refused:,} | {rate:,.0f} | {growth} |"
