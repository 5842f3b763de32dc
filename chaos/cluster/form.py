"""The parameters of a run in a cluster."""

from __future__ import annotations

from dataclasses import dataclass

from chaos.form import Form

SPARE = "spare"
"""The instance that runs only when it joins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterForm(Form):
    """`instances` share the engines, by leases of `lease` seconds. A fault hits `most_victims` of them at most.

    `strokes` is how many instances each kind of fault hits in its row; faults of nodes hit a part of that. A fault that
    lasts does so for longer than a lease, and for `life` seconds at most.
    """

    instances: int
    lease: float
    most_victims: int

    @property
    def names(self) -> list[str]:
        """The names of the instances, the spare one last."""
        return [*(f"instance-{number}" for number in range(1, self.instances + 1)), SPARE]


SHORT = ClusterForm(
    games=90,
    faltering=10,
    interval=0.4,
    timeout=0.2,
    strokes=1,
    rest=0.3,
    life=1.4,
    transitions=0,
    away=0.0,
    patience=40.0,
    share=0.3,
    instances=3,
    lease=1.0,
    most_victims=1,
)
LONG = ClusterForm(
    games=2900,
    faltering=100,
    interval=0.6,
    timeout=0.3,
    strokes=42,
    rest=0.5,
    life=2.5,
    transitions=0,
    away=0.0,
    patience=90.0,
    share=0.1,
    instances=4,
    lease=1.0,
    most_victims=3,
)
