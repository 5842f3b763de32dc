"""Messages to people, sent for real by apprise to an HTTP server of our own."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from healthprobe.adapters.notify import NotifyPublisher, publisher
from healthprobe.adapters.notify.sentence import sentence_of
from healthprobe.ports import ConfigurationError, PublishError
from healthprobe.testing.contracts.samples import ODD_GAME_IDS, failed, history, recovered


class Phone:
    """A service that records messages, and refuses them from the `refuse_after`th on."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        self.refuse_after = 1_000
        self.gate = asyncio.Event()
        self.gate.set()
        self.url = ""

    @property
    def sentences(self) -> list[str]:
        return [line for message in self.messages for line in message["message"].split("\n")]

    async def take(self, request: web.Request) -> web.Response:
        await self.gate.wait()
        if len(self.messages) >= self.refuse_after:
            return web.Response(status=503)
        self.messages.append(await request.json())
        return web.Response()


@pytest.fixture
async def phone() -> AsyncIterator[Phone]:
    phone = Phone()
    application = web.Application()
    application.router.add_post("/{tail:.*}", phone.take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    phone.url = f"json://user:secret@127.0.0.1:{runner.addresses[0][1]}/"
    yield phone
    phone.gate.set()
    await runner.cleanup()


async def test_a_failure_and_a_recovery_are_a_sentence_each_below_a_title_with_counts(
    phone: Phone,
) -> None:
    await NotifyPublisher.of_url(phone.url).publish(history("game-7", 2))
    (message,) = phone.messages
    assert message["title"] == "1 game has stopped answering, 1 game answers again"
    assert message["type"] == "failure"
    assert phone.sentences == [
        (
            'game-7 has stopped answering: 3 failures in a row, last one "unexpected status 503" '
            "(container c0ffee, since 17:01:00 UTC)"
        ),
        "game-7 answers again after 5 failures in a row (container c0ffee, at 17:02:00 UTC)",
    ]


async def test_a_message_of_recoveries_only_has_the_type_success(phone: Phone) -> None:
    await NotifyPublisher.of_url(phone.url).publish([recovered("a", 2), recovered("b", 2)])
    assert [(message["title"], message["type"]) for message in phone.messages] == [("2 games answer again", "success")]


async def test_a_mass_failure_is_a_few_messages_with_all_games_in_order(phone: Phone) -> None:
    events = [failed(f"game-{number}", 1) for number in range(500)]
    await NotifyPublisher.of_url(phone.url).publish(events)
    assert phone.sentences == [sentence_of(event) for event in events]
    assert len(phone.messages) < 25
    assert all(len(message["message"]) <= 3_000 for message in phone.messages)


async def test_no_events_send_no_message(phone: Phone) -> None:
    await NotifyPublisher.of_url(phone.url).publish([])
    assert phone.messages == []


async def test_the_error_of_a_failing_service_counts_the_events_delivered_before(phone: Phone) -> None:
    phone.refuse_after = 1
    with pytest.raises(PublishError, match=r"\Athe json service did not take a notification\Z") as refused:
        await NotifyPublisher.of_url(phone.url).publish([failed(f"game-{number}", 1) for number in range(60)])
    assert (refused.value.permanent, refused.value.delivered) == (False, len(phone.sentences))
    assert phone.sentences


@pytest.mark.filterwarnings("error")
async def test_the_logs_of_apprise_are_discarded(
    phone: Phone, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    phone.refuse_after = 0
    with caplog.at_level(logging.DEBUG), pytest.raises(PublishError):
        await NotifyPublisher.of_url(phone.url).publish([failed("game-7", 1)])
    assert [record for record in caplog.records if "apprise" in record.name] == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("url", ["nonsense://user:secret@host", "secret", "://secret", "slack://secret", "se\ncret://"])
def test_a_url_that_apprise_does_not_know_is_refused_in_one_line_without_secrets(
    url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigurationError, match=r"\A[^\n]+\Z") as refused:
        NotifyPublisher.of_url(url)
    assert "cret" not in str(refused.value)
    assert capfd.readouterr() == ("", "")


async def test_a_hanging_service_blocks_neither_the_loop_nor_a_cancellation(phone: Phone) -> None:
    phone.gate.clear()
    publishing = asyncio.create_task(NotifyPublisher.of_url(phone.url).publish([failed("game-7", 1)]))
    await asyncio.sleep(0.05)
    assert not publishing.done()
    publishing.cancel()
    async with asyncio.timeout(3.0):
        await asyncio.gather(publishing, return_exceptions=True)
    assert publishing.cancelled()


async def test_a_hanging_service_times_out(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "_TIMEOUT", 0.2)
    phone.gate.clear()
    async with asyncio.timeout(3.0):  # apprise itself waits four seconds for a response
        with pytest.raises(PublishError, match="did not take a notification") as refused:
            await NotifyPublisher.of_url(phone.url).publish([failed("game-7", 1)])
    assert (refused.value.permanent, refused.value.delivered) == (False, 0)


@pytest.mark.parametrize(
    "hostile",
    ["<!channel>", "@everyone", "[free](http://evil)", "<b onclick=x>", "**bold**", "`code`", "a\nb", "x" * 5_000],
)
@pytest.mark.parametrize("where", ["game", "error", "container"])
def test_no_text_of_a_game_or_an_engine_can_mention_link_or_format(hostile: str, where: str) -> None:
    event = {
        "game": failed(hostile, 1),
        "error": failed("game-7", 1, last_error=hostile),
        "container": failed("game-7", 1, container_id=hostile),
    }[where]
    sentence = sentence_of(event)
    assert not re.search(r"[<>\[\]*`\n]|@\w", sentence)
    assert len(sentence) < 500


async def test_odd_game_ids_are_a_line_each(phone: Phone) -> None:
    await NotifyPublisher.of_url(phone.url).publish([failed(game_id, 1) for game_id in ODD_GAME_IDS])
    assert len(phone.sentences) == len(ODD_GAME_IDS)
