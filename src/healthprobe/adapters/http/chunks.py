"""Parses a long JSON list in chunks, so that other threads get their turn in between."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ConfigurationError

Parse = Callable[[str, str], list[RuntimeRecord]]
"""Returns the records in a text. The second argument is the text's name in messages, and means JSON by `.json`."""

_CHUNK = 200
_MOST_RECORDS = 1_000_000
"""From here on the parser gets the whole text: its limit on records is for all of them."""


def parse_in_chunks(text: str, name: str, parse: Parse) -> list[RuntimeRecord]:
    """Returns what `parse` returns for `text`, and raises ConfigurationError as it does. Call it on a thread.

    Decoding a list is one step that blocks every thread, a third of a second for 100,000 groups; cutting it is not.
    """
    try:
        entries = msgspec.json.decode(text, type=list[msgspec.Raw])
        records: list[RuntimeRecord] = []
        for first in range(0, len(entries), _CHUNK):
            chunk = b",".join(entries[first : first + _CHUNK])
            records += parse(f"[{chunk.decode()}]", name)
            if len(records) > _MOST_RECORDS:
                return parse(text, name)
    except (msgspec.DecodeError, RecursionError, ConfigurationError):
        return parse(text, name)  # for messages with the lines of the whole text
    return records
