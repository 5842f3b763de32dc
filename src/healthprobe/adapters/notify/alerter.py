"""Alerts to people through apprise: up to 50 sentences a message, so that many alerts are not a flood."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Self

from apprise import Apprise, NotifyBase, NotifyFormat, NotifyType

from healthprobe._util.text import counted
from healthprobe._util.threads import run_in_daemon_thread
from healthprobe.adapters.notify.sentence import is_back, sentence_of_open, sentence_of_resolved
from healthprobe.adapters.notify.services import hidden, scheme_of, service_at, services_by_target
from healthprobe.domain.alarms.alert import Alert, ResolvedAlert
from healthprobe.ports import PublishError

_MOST_SENTENCES = 50
_MOST_CHARACTERS = 3_000
_TIMEOUT = 20.0

_MOST_TRIES = 4
"""How often a message is sent to a service with several targets that cannot be separated."""


State = Literal["open", "back", "ended"]
"""Of an alert: open, over because its games answer again, or over for another reason."""


@dataclass(frozen=True, slots=True)
class _Sentence:
    """What people are sent of one alert."""

    alert: Alert
    text: str
    state: State

    @property
    def id(self) -> tuple[str, bool]:
        return self.alert.key, self.state == "open"


Message = Sequence[_Sentence]


class NotifyAlerter:
    """Sends one sentence an alert, and up to 50 sentences a message. Made by `of_url` or `of_each_target`.

    A service with several targets does not say which of them took a message. One that is refused is sent to all of them
    again at most three times; then its alerts are refused for good. With one target that never happens.
    """

    takes_updates = False
    """People get another message about a group only if half as many games more have failed: 12, then 18, then 27."""

    def __init__(self, service: NotifyBase, name: str) -> None:
        self._name = name
        self._apprise = Apprise(asset=service.asset)
        self._apprise.add(service)
        self._has_several_targets = len(service) > 1
        self._tries: Counter[tuple[str, bool]] = Counter()
        self._lock = threading.Lock()

    @classmethod
    def of_url(cls, url: str) -> Self:
        """Returns an alerter for one of apprise's URLs. Raises ConfigurationError, without secrets, for any other."""
        return cls(service_at(url), f"the {scheme_of(url)} service")

    @classmethod
    def of_each_target(cls, url: str) -> Mapping[str, Self]:
        """Returns an alerter for each target of one of apprise's URLs, by target.

        If there is one, or if apprise cannot separate them, it is one alerter, and its target is empty. Raises
        ConfigurationError as `of_url` does.
        """
        services = services_by_target(url)
        if not services:
            return {"": cls.of_url(url)}
        return {
            target: cls(service, f"the {scheme_of(url)} service, for its target {hidden(target)},")
            for target, service in services.items()
        }

    async def fire(self, alerts: Sequence[Alert]) -> None:
        """Sends a sentence for each alert, in as few messages as possible.

        Raises PublishError for a message that the service has not accepted within 20 s: permanent only after the last
        try for several targets. After a cancellation the message that is being sent is still completed; the end of the
        process does not wait for it.
        """
        await self._tell([_Sentence(alert, sentence_of_open(alert), "open") for alert in alerts])

    async def resolve(self, alerts: Sequence[ResolvedAlert]) -> None:
        """Sends that each alert is over, and why. Raises PublishError as `fire` does."""
        await self._tell(
            [_Sentence(each.alert, sentence_of_resolved(each), "back" if is_back(each) else "ended") for each in alerts]
        )

    async def _tell(self, sentences: Sequence[_Sentence]) -> None:
        if sentences:
            await run_in_daemon_thread(partial(self._send_all, sentences))

    def _send_all(self, sentences: Sequence[_Sentence], cancelled: threading.Event) -> None:
        delivered = 0
        with self._lock:
            for message in _messages(sentences):
                if cancelled.is_set():
                    break
                self._raise_after_last_try(message[0], delivered)
                try:
                    is_accepted = self._is_accepted(message)
                except Exception as error:  # noqa: BLE001 -- apprise has a hundred plugins with errors of their own
                    self._count_try(message)
                    raise self._publish_error(delivered, f" ({type(error).__name__})") from None
                if not is_accepted:
                    self._count_try(message)
                    raise self._publish_error(delivered)
                self._forget_tries(message)
                delivered += len(message)

    def _forget_tries(self, message: Message) -> None:
        for sentence in message:
            self._tries.pop(sentence.id, None)

    def _count_try(self, message: Message) -> None:
        if self._has_several_targets:
            self._tries.update(sentence.id for sentence in message)

    def _raise_after_last_try(self, sentence: _Sentence, delivered: int) -> None:
        if self._tries[sentence.id] >= _MOST_TRIES:
            del self._tries[sentence.id]
            raise PublishError(
                f"{self._name} did not take a notification for all of its targets, in {_MOST_TRIES} tries",
                permanent=True,
                delivered=delivered,
            )

    def _is_accepted(self, message: Message) -> bool:
        is_accepted = self._apprise.notify(
            body="\n".join(sentence.text for sentence in message),
            title=_title(message),
            notify_type=NotifyType.FAILURE if any(each.state == "open" for each in message) else NotifyType.SUCCESS,
            body_format=NotifyFormat.TEXT,
            interpret_escapes=False,
            timeout=_TIMEOUT,
        )
        return bool(is_accepted)

    def _publish_error(self, delivered: int, cause: str = "") -> PublishError:
        """Not permanent: apprise does not say whether a service refused the message or was away."""
        return PublishError(f"{self._name} did not take a notification{cause}", delivered=delivered)


def _messages(sentences: Sequence[_Sentence]) -> Iterator[list[_Sentence]]:
    message: list[_Sentence] = []
    characters = 0
    for sentence in sentences:
        if message and (len(message) == _MOST_SENTENCES or characters + len(sentence.text) > _MOST_CHARACTERS):
            yield message
            message, characters = [], 0
        message.append(sentence)
        characters += len(sentence.text) + 1
    if message:
        yield message


def _title(message: Message) -> str:
    games: Counter[tuple[State, bool]] = Counter()
    for sentence in message:
        games[sentence.state, sentence.alert.is_not_observed] += len(sentence.alert.game_ids)
    parts = []
    if failed := games["open", False]:
        parts.append(f"{counted(failed, 'game')} {'has' if failed == 1 else 'have'} stopped answering")
    if unobserved := games["open", True]:
        parts.append(f"{counted(unobserved, 'game')} {'is' if unobserved == 1 else 'are'} not observed")
    if back := games["back", False]:
        parts.append(f"{counted(back, 'game')} {'answers' if back == 1 else 'answer'} again")
    if observed := games["back", True]:
        parts.append(f"{counted(observed, 'game')} {'is' if observed == 1 else 'are'} observed again")
    if ended := games["ended", False] + games["ended", True]:
        parts.append(f"{counted(ended, 'incident')} ended")
    return ", ".join(parts)
