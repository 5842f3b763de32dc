"""The agreement: all instances of a cluster watch, judge and tell alike, or somebody is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from healthprobe.domain.instance import Instance


class Agreement:
    """Tells once of each instance whose rule is another than `rule`, ours.

    A game would be watched by nobody that is not in the list of whoever has its shard, its verdict would depend on who
    that is, and whom it is told to on who happens to deliver.
    """

    def __init__(self, rule: str, logger: Any) -> None:
        self._rule = rule
        self._logger = logger
        self._told: set[tuple[str, str]] = set()

    def heed(self, others: Iterable[Instance]) -> None:
        """These are there now. Those that tell no rule are of an older version."""
        differing = {(each.instance, each.rule) for each in others if each.rule not in {"", self._rule}}
        for instance, rule in sorted(differing - self._told):
            self._logger.warning(
                "another instance was started with other options", other=instance, theirs=rule, ours=self._rule
            )
        self._told = differing
