"""Publishes events to people through apprise: up to 50 events a message, so that a mass failure is not a flood."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Self

from apprise import Apprise, NotifyBase, NotifyFormat, NotifyType

from healthprobe._util.threads import run_in_daemon_thread
from healthprobe.adapters.notify.sentence import sentence_of
from healthprobe.adapters.notify.services import hidden, scheme_of, service_at, services_by_target
from healthprobe.domain.event import EventType, HealthEvent
from healthprobe.ports import PublishError

Message = Sequence[tuple[HealthEvent, str]]
"""Events with their sentences."""

_MOST_SENTENCES = 50
_MOST_CHARACTERS = 3_000
_TIMEOUT = 20.0

_MOST_TRIES = 4
"""How often a message is sent to a service with several targets that cannot be separated."""


class NotifyPublisher:
    """Sends one sentence an event, and up to 50 sentences a message. Made by `of_url` or `of_each_target`.

    A service with several targets does not say which of them took a message. One that is refused is sent to all of them
    again at most three times; then its events are refused for good. With one target that never happens.
    """

    def __init__(self, service: NotifyBase, name: str) -> None:
        self._name = name
        self._apprise = Apprise(asset=service.asset)
        self._apprise.add(service)
        self._has_several_targets = len(service) > 1
        self._tries: Counter[str] = Counter()
        self._lock = threading.Lock()

    @classmethod
    def of_url(cls, url: str) -> Self:
        """Returns a publisher for one of apprise's URLs. Raises ConfigurationError, without secrets, for any other."""
        return cls(service_at(url), f"the {scheme_of(url)} service")

    @classmethod
    def of_each_target(cls, url: str) -> Mapping[str, Self]:
        """Returns a publisher for each target of one of apprise's URLs, by target.

        If there is one, or if apprise cannot separate them, it is one publisher, and its target is empty. Raises
        ConfigurationError as `of_url` does.
        """
        services = services_by_target(url)
        if not services:
            return {"": cls.of_url(url)}
        return {
            target: cls(service, f"the {scheme_of(url)} service, for its target {hidden(target)},")
            for target, service in services.items()
        }

    async def publish(self, events: Sequence[HealthEvent]) -> None:
        """Sends `events` in order, in as few messages as possible.

        Raises PublishError for a message that the service has not accepted within 20 s: permanent only after the last
        try for several targets. After a cancellation the message that is being sent is still completed; the end of the
        process does not wait for it.
        """
        await run_in_daemon_thread(partial(self._send_all, events))

    def _send_all(self, events: Sequence[HealthEvent], cancelled: threading.Event) -> None:
        delivered = 0
        with self._lock:
            for message in _messages(events):
                if cancelled.is_set():
                    break
                self._raise_after_last_try(message[0][0], delivered)
                try:
                    is_accepted = self._send(message)
                except Exception as error:  # noqa: BLE001 -- apprise has a hundred plugins with errors of their own
                    self._count_try(message)
                    raise self._publish_error(delivered, f" ({type(error).__name__})") from None
                if not is_accepted:
                    self._count_try(message)
                    raise self._publish_error(delivered)
                self._forget_tries(message)
                delivered += len(message)

    def _count_try(self, message: Message) -> None:
        if self._has_several_targets:
            self._tries.update(event.id for event, _ in message)

    def _forget_tries(self, message: Message) -> None:
        for event, _ in message:
            self._tries.pop(event.id, None)

    def _raise_after_last_try(self, event: HealthEvent, delivered: int) -> None:
        if self._tries[event.id] >= _MOST_TRIES:
            del self._tries[event.id]  # a replay is tried as often
            raise PublishError(
                f"{self._name} did not take a notification for all of its targets, in {_MOST_TRIES} tries",
                permanent=True,
                delivered=delivered,
            )

    def _send(self, message: Message) -> bool:
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
        """Not permanent: apprise does not say whether a service refused the message or was away."""
        return PublishError(f"{self._name} did not take a notification{cause}", delivered=delivered)


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
