"""The form of a soak: how long, how many engines, and how badly they behave."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Form:
    """Times in minutes unless they say otherwise. `faulty` is the share of faulty engines at any time.

    `leeway` multiplies how much a quantity may rise per minute: over a few seconds, a line is steep.
    """

    minutes: float = 20.0
    settled: float = 2.0
    engines: int = 5_000
    replaced_per_minute: float = 0.2
    faulty: float = 0.03
    sample_seconds: float = 5.0
    edit_seconds: float = 3.0
    seed: int = 0
    leeway: float = 1.0

    def __post_init__(self) -> None:
        if self.minutes <= self.settled:
            raise ValueError(
                f"it is judged after {self.settled:g} minutes: let it run for longer than {self.minutes:g}"
            )


SHORT = Form(minutes=0.4, settled=0.15, engines=300, sample_seconds=0.5, edit_seconds=0.5, leeway=50.0)
"""Long enough to run everything and to show gross leaks."""
