"""People as a bus: messages by apprise, of many events each, so that a mass failure is not a flood."""

from __future__ import annotations

import asyncio
import logging
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Self

from apprise import Apprise, AppriseAsset, NotifyBase, NotifyFormat, NotifyType, PersistentStoreMode

from healthprobe.adapters.notify.sentence import sentence_of
from healthprobe.domain.event import EventType, HealthEvent
from healthprobe.ports import ConfigurationError, PublishError

_MOST_SENTENCES = 50
_MOST_CHARACTERS = 3_000
_LONGEST_SENDING = 20.0


class NotifyPublisher:
    """Sends events to people, one sentence an event and up to 50 of them a message. Made by `of_url`."""

    def __init__(self, service: NotifyBase, scheme: str) -> None:
        self._scheme = scheme
        self._apprise = Apprise(asset=service.asset)
        self._apprise.add(service)
        self._turn = threading.Lock()

    @classmethod
    def of_url(cls, url: str) -> Self:
        """A publisher for one of apprise's URLs. Raises ConfigurationError, without secrets, for any other."""
        logging.getLogger("apprise").disabled = True  # it would write to standard error; what went wrong we say
        asset = AppriseAsset(
            app_id="healthprobe", app_desc="healthprobe", async_mode=False, storage_mode=PersistentStoreMode.MEMORY
        )
        with warnings.catch_warnings(action="ignore"):  # its plugins are loaded here, some with modules of old
            service = Apprise.instantiate(url, asset=asset)
        scheme = url.partition("://")[0] if "://" in url else ""
        if service is None:
            named = f"the {scheme}:// URL" if scheme.isalnum() and scheme.isascii() else "the URL"
            raise ConfigurationError(
                f"apprise does not know {named} to notify: compare it with the form of its service"
            )
        return cls(service, scheme)

    async def publish(self, events: Sequence[HealthEvent]) -> None:
        """Send `events` in order, as few messages; returns when the service has taken all.

        Raises PublishError, worth a retry, where it has not within 20 s. Neither the event loop nor the end of the
        process waits for it; a call that is cancelled ends with the message it is at.
        """
        given_up = threading.Event()
        outcome: Future[None] = Future()
        outcome.set_running_or_notify_cancel()
        # not the loop's executor: a process waits for its threads as it ends
        threading.Thread(target=self._deliver, args=(events, given_up, outcome), daemon=True).start()
        try:
            await asyncio.wrap_future(outcome)
        finally:
            given_up.set()

    def _deliver(self, events: Sequence[HealthEvent], given_up: threading.Event, outcome: Future[None]) -> None:
        delivered = 0
        try:
            with self._turn:
                for message in _messages(events):
                    if given_up.is_set():
                        break
                    self._send(message)
                    delivered += len(message)
        except Exception as error:  # noqa: BLE001  apprise has a hundred plugins, and each its own faults
            cause = "" if isinstance(error, PublishError) else f" ({type(error).__name__})"
            outcome.set_exception(
                PublishError(f"the {self._scheme} service did not take a notification{cause}", delivered=delivered)
            )
        else:
            outcome.set_result(None)

    def _send(self, message: Sequence[tuple[HealthEvent, str]]) -> None:
        failed = sum(event.event_type is EventType.PROBE_FAILED for event, _ in message)
        taken = self._apprise.notify(
            body="\n".join(sentence for _, sentence in message),
            title=_title(failed, len(message) - failed),
            notify_type=NotifyType.FAILURE if failed else NotifyType.SUCCESS,
            body_format=NotifyFormat.TEXT,
            interpret_escapes=False,
            timeout=_LONGEST_SENDING,
        )
        if not taken:
            raise PublishError("not taken")


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
