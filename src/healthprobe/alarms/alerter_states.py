"""How far each alerter of a log got, for commands that read the log while a run goes on."""

from __future__ import annotations

from collections.abc import Mapping

from healthprobe.alarms.documents import ALERTERS, AlerterState, SentAlert, sent_kind
from healthprobe.ports import DocumentLog


async def alerter_states(log: DocumentLog) -> Mapping[str, tuple[int, int]]:
    """Returns, by alerter, how many alerts it did not know when it last got some, and how many it refused for good.

    Raises LogError.
    """
    states = {}
    for name, text in (await log.documents(ALERTERS)).items():
        sent = (await log.documents(sent_kind(name))).values()
        refused = sum(bool(SentAlert.from_text(each).refused) for each in sent)
        states[name] = (AlerterState.from_text(text).behind, refused)
    return states


async def forget_alerter(log: DocumentLog, name: str) -> bool:
    """Removes all that is kept of an alerter. Returns whether there was anything. Raises LogError."""
    sent = await log.documents(sent_kind(name))
    known = name in await log.documents(ALERTERS)
    await log.put_documents(sent_kind(name), dict.fromkeys(sent))
    await log.put_documents(ALERTERS, {name: None})
    return known or bool(sent)
