"""The slices: a long JSON list parsed piece by piece, so that the event loop has its turn in between."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ConfigurationError

Parse = Callable[[str, str], list[RuntimeRecord]]
"""The records that a text tells; its messages begin with the name that comes second, which says JSON by `.json`."""

_ENTRIES = 200
_MANY = 1_000_000
"""So many records are the parser's to refuse: it sees a slice at a time, and here the whole."""


def parse_in_slices(text: str, name: str, parse: Parse) -> list[RuntimeRecord]:
    """What `parse` makes of `text`, called `name`. To be run on a thread; raises ConfigurationError as `parse` does.

    Decoding a list is one step that holds up every thread, a third of a second for 100,000 groups; cutting it is not.
    """
    try:
        entries = msgspec.json.decode(text, type=list[msgspec.Raw])
        records: list[RuntimeRecord] = []
        for first in range(0, len(entries), _ENTRIES):
            piece = b",".join(entries[first : first + _ENTRIES])
            records += parse(f"[{piece.decode()}]", name)
            if len(records) > _MANY:
                return parse(text, name)
    except (msgspec.DecodeError, RecursionError, ConfigurationError):
        return parse(text, name)  # lines are counted in the whole
    return records
