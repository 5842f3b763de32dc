"""The report: each quantity at first and at last, its bound, and whether it grows."""

from __future__ import annotations

from collections.abc import Sequence

from soak.form import Form
from soak.running import INTERVAL, TIMEOUT, Course
from soak.verdict import BOUNDS, Trend, relaxed, trends

ENOUGH = 0.8
"""The share of all probes that must have been made: an idle program does not grow either."""


def judged(course: Course, form: Form) -> tuple[str, bool]:
    """Returns the report and whether everything holds."""
    if course.fault:
        return f"it did not run to its end: {course.fault}", False
    try:
        found = trends(course.samples, form.settled, relaxed(BOUNDS, form.leeway))
    except ValueError as error:
        return str(error), False
    faults = [f"{trend.bound.name} grows" for trend in found if trend.grows] + _idleness(course, form)
    return "\n".join([*_table(found), "", *_facts(course, form), "", *_verdict(faults)]), not faults


def _table(found: Sequence[Trend]) -> list[str]:
    return [
        "| quantity | first quarter | last quarter | may become | most | rise per minute | may rise | grows |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {each.bound.name} | {each.first:,.1f} | {each.last:,.1f} | {each.allowed:,.1f} | {each.most:,.1f} "
            f"| {each.slope:+,.2f} | {each.bound.per_minute:g} | {'YES' if each.grows else 'no'} |"
            for each in found
        ),
    ]


def _facts(course: Course, form: Form) -> list[str]:
    end = course.samples[-1].held
    return [
        f"{form.minutes:g} minutes over {form.engines:,} engines, interval {INTERVAL}, timeout {TIMEOUT}; judged after",
        f"{form.settled:g}. {course.replaced:,} games were replaced, and {form.faulty:.0%} of the engines were faulty",
        f"at any time. {end['probes']:,.0f} probes, {end['events']:,.0f} events, {end['dropped ticks']:,.0f} ticks",
        f"dropped, {course.cpu:,.0f} s of CPU. The log has {course.log:.1f} MiB on the disk. Seed {form.seed}.",
    ]


def _idleness(course: Course, form: Form) -> list[str]:
    """Returns what shows that the program had too little load, as sentences."""
    end = course.samples[-1]
    wanted = end.at * 60 * form.engines * ENOUGH
    faults = []
    if end.held["probes"] < wanted:
        faults.append(f"only {end.held['probes']:,.0f} probes were made; the least is {wanted:,.0f}")
    if not end.held["events"]:
        faults.append("there was no event")
    return faults


def _verdict(faults: Sequence[str]) -> list[str]:
    return ["nothing grows"] if not faults else [f"FOUND: {fault}" for fault in faults]
