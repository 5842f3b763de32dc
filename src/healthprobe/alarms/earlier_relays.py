"""What earlier versions sent: each target of --notify had a relay, whose cursor says which events it delivered.

Such a relay has become an alerter. It is given what its relay had sent, so that nothing is sent twice, and so that the
end of an incident is sent where its beginning was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from healthprobe._util.safe_logging import SafeLogger
from healthprobe.alarms.documents import ALERTS, SentAlert, documents_of, sent_kind
from healthprobe.domain.alarms.alerting import DecidedAlert, alert_key
from healthprobe.domain.event import EventType, HealthEvent, ProbeFailedDetails
from healthprobe.ports import DeadLetter, DocumentLog, RelayLog
from healthprobe.worker.relay import BATCH, known_cursor

_BEFORE = "sent by a relay"

_MOST_LETTERS = 1_000_000
"""A limit above the number of dead letters in any log."""


class EarlierLog(RelayLog, DocumentLog, Protocol):
    """A log that may have cursors of earlier versions, and that keeps documents."""


async def adopt_relays(
    log: EarlierLog,
    relays: Mapping[str, Sequence[str]],
    alerts: Mapping[str, DecidedAlert],
    *,
    identity: str,
    open_incidents: Mapping[str, HealthEvent],
    labels_of: Callable[[str], Mapping[str, str] | None],
    now: datetime,
    logger: SafeLogger,
) -> dict[str, DecidedAlert]:
    """Gives each alerter what the relay before it had sent, and removes that. Returns the alerts that there are now.

    `relays` has the names of the relays before an alerter, by its name; the first that has a cursor counts. What such a
    relay delivered counts as sent. A failure that it had parked does not: if its game is still down, it is fired. Dead
    letters are removed, for nothing delivers them any more. Raises LogError; done again, it does the same.
    """
    found = dict(alerts)
    letters = await _letters(log, {name for names in relays.values() for name in names})
    for alerter, names in relays.items():
        cursor = await _cursor(log, names)
        if cursor is None:
            continue
        refused = {letter.event.id for letter in letters if letter.publisher in names}
        sent = [event for event in await _open_at(log, cursor, open_incidents) if event.id not in refused]
        known = {member: key for key, alert in found.items() for member in alert.members.items()}
        adopted: dict[str, DecidedAlert] = {}
        for event in sent:
            key = known.get((event.game_id, event.sequence))
            alert = found[key] if key else _alert(event, identity, labels_of(event.game_id), now)
            adopted[alert.key] = alert
        new = {key: alert for key, alert in adopted.items() if key not in found}
        found.update(new)
        await log.put_documents(
            ALERTS, {key: text for alert in new.values() for key, text in documents_of(alert).items()}
        )
        before = {key: SentAlert(_BEFORE, games=len(alert.members)).as_text() for key, alert in adopted.items()}
        await log.put_documents(sent_kind(alerter), before)
        logger.info("an alerter goes on where the relay before it was", publisher=alerter, sent=len(sent))
    for letter in letters:
        await log.release(letter)
    if letters:
        logger.warning("notifications that were parked by an earlier version are dropped", count=len(letters))
    for name in {name for names in relays.values() for name in names}:
        await log.forget_cursor(name)
    return found


async def _letters(log: RelayLog, names: set[str]) -> list[DeadLetter]:
    return [letter for letter in await log.dead_letters(_MOST_LETTERS) if letter.publisher in names]


async def _cursor(log: RelayLog, names: Sequence[str]) -> int | None:
    """Returns the cursor of the first relay that has one. One that was altered is at the end: all counts as sent."""
    for name in names:
        cursor, altered = await known_cursor(log, name)
        if altered:
            return await log.end()
        if cursor is not None:
            return cursor
    return None


async def _open_at(log: RelayLog, cursor: int, open_incidents: Mapping[str, HealthEvent]) -> list[HealthEvent]:
    """Returns the `probe_failed` of each incident that was open at a cursor. `open_incidents` are those of now."""
    next_events: dict[str, HealthEvent] = {}
    after = cursor
    while entries := await log.read(after, BATCH):
        for entry in entries:
            next_events.setdefault(entry.event.game_id, entry.event)
        after = entries[-1].cursor
    found = [failed for game_id, failed in open_incidents.items() if game_id not in next_events]
    ended = {
        (event.game_id, event.sequence - 1)
        for event in next_events.values()
        if event.event_type is not EventType.PROBE_FAILED
    }
    after = 0
    while ended and after < cursor and (entries := await log.read(after, BATCH)):
        found += [
            entry.event
            for entry in entries
            if entry.cursor <= cursor and (entry.event.game_id, entry.event.sequence) in ended
        ]
        after = entries[-1].cursor
    return found


def _alert(failed: HealthEvent, identity: str, labels: Mapping[str, str] | None, now: datetime) -> DecidedAlert:
    details = failed.details
    return DecidedAlert(
        key=alert_key(identity, failed.id),
        labels={**(labels or {}), "game_id": failed.game_id},
        last_error=details.last_error if isinstance(details, ProbeFailedDetails) else "",
        started_at=failed.occurred_at,
        changed_at=now,
        members={failed.game_id: failed.sequence},
    )
