"""How far each alerter of a log got, for commands that read the log while a run goes on, and for the next run."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from healthprobe._util.safe_logging import SafeLogger
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


async def sent_to_others(log: DocumentLog, names: Collection[str], logger: SafeLogger) -> Mapping[str, Collection[str]]:
    """Returns the keys of what alerters were sent that are not among `names`, and names each. Raises LogError."""
    found: dict[str, Collection[str]] = {}
    for name in sorted((await log.documents(ALERTERS)).keys() - set(names)):
        if keys := (await log.documents(sent_kind(name))).keys():
            found[name] = keys
            logger.warning(
                "an alerter is not among those of this run: its alerts stay open until it is again; "
                "if it is gone for good, close them there, and forget it with: healthprobe relays --forget",
                publisher=name,
                alerts=len(keys),
            )
    return found
