"""The targets: everything of ours that reads what others write, a file for each of those who write it."""

from __future__ import annotations

from fuzz.targets import api, engines, events, people, records

TARGETS = (*engines.TARGETS, *records.TARGETS, *events.TARGETS, *people.TARGETS, *api.TARGETS)
