"""Instances with different rules are reported once each: a verdict must not depend on which instance probes."""

from __future__ import annotations

from datetime import UTC, datetime

from structlog.testing import LogCapture
from tests.adapters.nats.lease_fleet import capturing_logger

from healthprobe.adapters.nats.membership import RuleCheck
from healthprobe.domain.cluster import Instance

OURS, THEIRS = "--interval 5s --timeout 2s --failures 3", "--interval 5s --timeout 2s --failures 1"


def instance(name: str, rule: str) -> Instance:
    return Instance(name, "host", 1, datetime(2026, 11, 25, tzinfo=UTC), rule=rule)


def agreement() -> tuple[RuleCheck, LogCapture]:
    told = LogCapture()
    return RuleCheck(OURS, capturing_logger(told)), told


def test_an_instance_with_the_same_rule_or_none_is_not_reported() -> None:
    watched, told = agreement()
    watched.check([instance("b", OURS), instance("of an older version", "")])
    assert told.entries == []


def test_an_instance_with_another_rule_is_reported_once_with_both_rules() -> None:
    watched, told = agreement()
    for _ in range(3):
        watched.check([instance("b", THEIRS), instance("c", OURS)])
    assert told.entries == [
        {
            "event": "another instance was started with other options",
            "other": "b",
            "theirs": THEIRS,
            "ours": OURS,
            "log_level": "warning",
        }
    ]


def test_it_is_reported_again_when_its_rule_has_changed_or_it_was_away() -> None:
    watched, told = agreement()
    watched.check([instance("b", THEIRS)])
    watched.check([instance("b", f"{THEIRS} --confirm 250ms")])
    watched.check([])
    watched.check([instance("b", THEIRS)])
    assert [line["theirs"] for line in told.entries] == [THEIRS, f"{THEIRS} --confirm 250ms", THEIRS]
