"""How far each alerter of a log got, for who reads the log beside a run."""

from __future__ import annotations

from collections.abc import Mapping

from healthprobe.alarms.documents import ALERTERS, AlerterState, Told, told_kind
from healthprobe.ports import DocumentLog


async def alerter_states(log: DocumentLog) -> Mapping[str, tuple[int, int]]:
    """Returns, by alerter, how many alerts it did not know when it was last told, and how many it refused for good.

    Raises LogError.
    """
    states = {}
    for name, text in (await log.documents(ALERTERS)).items():
        told = (await log.documents(told_kind(name))).values()
        refused = sum(bool(Told.from_text(each).refused) for each in told)
        states[name] = (AlerterState.from_text(text).behind, refused)
    return states


async def forget_alerter(log: DocumentLog, name: str) -> bool:
    """Removes all that is kept of an alerter. Returns whether there was anything. Raises LogError."""
    told = await log.documents(told_kind(name))
    known = name in await log.documents(ALERTERS)
    await log.put_documents(told_kind(name), dict.fromkeys(told))
    await log.put_documents(ALERTERS, {name: None})
    return known or bool(told)
