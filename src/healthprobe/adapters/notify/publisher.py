"""Publishes events to people through apprise: up to 50 events a message, so that a mass failure is not a flood."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Self

from apprise import Apprise, AppriseAsset, NotifyBase, NotifyFormat, NotifyType, PersistentStoreMode

from healthprobe._util.threads import run_in_daemon_thread
from healthprobe.adapters.notify.sentence import sentence_of
from healthprobe.domain.event import EventType, HealthEvent
from healthprobe.ports import ConfigurationError, PublishError

_MOST_SENTENCES = 50
_MOST_CHARACTERS = 3_000
_TIMEOUT = 20.0


class NotifyPublisher:
    """Sends one sentence an event, and up to 50 sentences a message. Made by `of_url`."""

    def __init__(self, service: NotifyBase, scheme: str) -> None:
        self._scheme = scheme
        self._apprise = Apprise(asset=service.asset)
        self._apprise.add(service)
        self._lock = threading.Lock()

    @classmethod
    def of_url(cls, url: str) -> Self:
        """Returns a publisher for one of apprise's URLs. Raises ConfigurationError, without secrets, for any other."""
        logging.getLogger("apprise").disabled = True  # it logs to standard error; our error says what failed
        asset = AppriseAsset(
            app_id="healthprobe", app_desc="healthprobe", async_mode=False, storage_mode=PersistentStoreMode.MEMORY
        )
        with warnings.catch_warnings(action="ignore"):  # loads all plugins, some with deprecated modules
            service = Apprise.instantiate(url, asset=asset)
        scheme = url.partition("://")[0] if "://" in url else ""
        if service is None:
            named = f"the {scheme}:// URL" if scheme.isalnum() and scheme.isascii() else "the URL"
            raise ConfigurationError(
                f"apprise does not know {named} to notify: compare it with the form of its service"
            )
        return cls(service, scheme)

    async def publish(self, events: Sequence[HealthEvent]) -> None:
        """Sends `events` in order, in as few messages as possible.

        Raises PublishError, never permanent, for a message that the service has not accepted within 20 s. After a
        cancellation the message that is being sent is still completed; the end of the process does not wait for it.
        """
        await run_in_daemon_thread(partial(self._send_all, events))

    def _send_all(self, events: Sequence[HealthEvent], cancelled: threading.Event) -> None:
        delivered = 0
        with self._lock:
            for message in _messages(events):
                if cancelled.is_set():
                    break
                try:
                    is_accepted = self._send(message)
                except Exception as error:  # noqa: BLE001 -- apprise has a hundred plugins with errors of their own
                    raise self._publish_error(delivered, f" ({type(error).__name__})") from None
                if not is_accepted:
                    raise self._publish_error(delivered)
                delivered += len(message)

    def _send(self, message: Sequence[tuple[HealthEvent, str]]) -> bool:
        failed = sum(event.event_type is EventType.PROBE_FAILED for event, _ in message)
        is_accepted = self._apprise.notify(
            body="\n".join(sentence for _, sentence in message),
            title=_title(failed, len(message) - failed),
            notify_type=NotifyType.FAILURE if failed else NotifyType.SUCCESS,
            body_format=NotifyFormat.TEXT,
            interpret_escapes=False,
            timeout=_TIMEOUT,
        )
        return bool(is_accepted)

    def _publish_error(self, delivered: int, cause: str = "") -> PublishError:
        """Never permanent: apprise does not say whether a service refused the message or was away."""
        return PublishError(f"the {self._scheme} service did not take a notification{cause}", delivered=delivered)


def _messages(events: Sequence[HealthEvent]) -> Iterator[list[tuple[HealthEvent, str]]]:
    message: list[tuple[HealthEvent, str]] = []
    characters = 0
    for event in events:
        sentence = sentence_of(event)
        if message and (len(message) == _MOST_SENTENCES or characters + len(sentence) > _MOST_CHARACTERS):
            yield message
            message, characters = [], 0
        message.append((event, sentence))
        characters += len(sentence) + 1
    if message:
        yield message


def _title(failed: int, recovered: int) -> str:
    parts = []
    if failed:
        parts.append(f"{failed} {'game has' if failed == 1 else 'games have'} stopped answering")
    if recovered:
        parts.append(f"{recovered} {'game answers' if recovered == 1 else 'games answer'} again")
    return ", ".join(parts)
