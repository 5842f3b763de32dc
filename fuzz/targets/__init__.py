"""The targets: every parser of external input, one file for each kind of author."""

from __future__ import annotations

from fuzz.targets import api, engines, events, people, records, rows

TARGETS = (*engines.TARGETS, *records.TARGETS, *events.TARGETS, *people.TARGETS, *api.TARGETS, *rows.TARGETS)
