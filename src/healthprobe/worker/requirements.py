"""Requirements: what a worker cannot be made without (the reference's own refusals)."""

from __future__ import annotations

from math import isfinite

from healthprobe.ports import ConfigurationError


def require(**collaborators: object) -> None:
    """Raises ConfigurationError for a collaborator that is None, by its name."""
    for name, collaborator in collaborators.items():
        if collaborator is None:
            raise ConfigurationError(f"a worker needs {name}, and was given None")


def require_positive(**numbers: float) -> None:
    """Raises ConfigurationError for a number that is not positive and finite, by its name."""
    for name, number in numbers.items():
        if not (isfinite(number) and number > 0):
            raise ConfigurationError(f"{name} must be a positive number, and is {number!r}")
