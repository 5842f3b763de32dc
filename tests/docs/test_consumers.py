"""The consumers in the docs do what the docs say: each transition once, and forged messages are refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.servers.redis import RedisServer
from tests.servers.web import WebServer

from healthprobe.adapters.http import WebhookPublisher
from healthprobe.adapters.redis import RedisPublisher
from healthprobe.domain.event import HealthEvent
from healthprobe.testing.contracts.samples import failed, history

ROOT = Path(__file__).parents[2]
[CONSUMER] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "integrations.md").read_text(), re.DOTALL)
[VERIFICATION] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "reference.md").read_text(), re.DOTALL)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TIMEOUT = 60.0


@pytest.fixture
def bus() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@contextmanager
def consuming(bus: RedisServer, folder: Path) -> Iterator[Path]:
    """Runs the consumer, yields the file with its output, and kills it in the end."""
    printed = folder / "printed"
    program = CONSUMER.replace("redis.Redis(", f"redis.Redis(port={bus.port}, ")
    with printed.open("a") as output:
        process = subprocess.Popen([sys.executable, "-c", program], cwd=folder, stdout=output)
    try:
        yield printed
    finally:
        process.kill()
        process.wait()


def wait_for(count: int, printed: Path) -> list[str]:
    deadline = time.monotonic() + TIMEOUT
    while len(lines := printed.read_text().splitlines()) < count:
        if time.monotonic() > deadline:
            pytest.fail(f"{len(lines)} of {count} lines after {TIMEOUT:g}s: {lines}")
        time.sleep(0.02)
    return lines


def wait_until_stored(events: int, folder: Path) -> None:
    """Waits for the commit: the consumer prints before it, and if killed in between it would rightly print again."""
    deadline = time.monotonic() + TIMEOUT
    with closing(sqlite3.connect(folder / "mine.db")) as memory:
        while (stored := memory.execute("SELECT count(*) FROM seen").fetchone()[0]) < events:
            if time.monotonic() > deadline:
                pytest.fail(f"{stored} of {events} events stored after {TIMEOUT:g}s")
            time.sleep(0.02)


async def deliver(bus: RedisServer, *events: HealthEvent, again: bool = False) -> None:
    if again:  # as after a day, when the server no longer knows that they are in the stream
        for mark in bus.command("KEYS", "*:published:*"):
            bus.command("DEL", mark)
    publisher = RedisPublisher.of_url(bus.url())
    await publisher.publish(events)
    await publisher.aclose()


def test_the_consumer_has_about_ten_lines() -> None:
    assert len(CONSUMER.splitlines()) <= 12


async def test_the_consumer_prints_each_transition_once_even_if_it_is_delivered_twice(
    bus: RedisServer, tmp_path: Path
) -> None:
    with consuming(bus, tmp_path) as printed:
        await deliver(bus, *history("game-7", 2))
        await deliver(bus, *history("game-7", 2), failed("game-8", 1), again=True)
        lines = wait_for(3, printed)
    assert len(bus.ids()) == 5
    assert [line.split()[:2] for line in lines] == [
        ["probe_failed", "game-7"],
        ["probe_recovered", "game-7"],
        ["probe_failed", "game-8"],
    ]


async def test_a_consumer_that_was_killed_continues_where_it_was(bus: RedisServer, tmp_path: Path) -> None:
    with consuming(bus, tmp_path) as printed:
        await deliver(bus, *history("game-7", 3))
        wait_for(3, printed)
        wait_until_stored(3, tmp_path)
    await deliver(bus, *history("game-7", 5), again=True)
    with consuming(bus, tmp_path) as printed:
        lines = wait_for(5, printed)
    assert len(lines) == 5


async def test_only_the_webhooks_own_message_passes_the_documented_verification() -> None:
    names: dict[str, Any] = {"base64": base64, "hashlib": hashlib, "hmac": hmac, "time": time}
    exec(VERIFICATION, names)
    verify: Callable[..., None] = names["verify"]
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    async with WebServer() as server:
        publisher = WebhookPublisher.of_url(server.url("/hook"), secret=SECRET)
        await publisher.publish([failed("игра 7", 1)])
        await publisher.aclose()
    [asked] = server.asked
    verify(asked.headers, asked.body, key)
    for headers, body, other_key in (
        (asked.headers, asked.body + b" ", key),
        (asked.headers, asked.body, b"guessed"),
        ({**asked.headers, "webhook-timestamp": str(int(time.time()) - 3600)}, asked.body, key),
        ({**asked.headers, "webhook-id": "other"}, asked.body, key),
    ):
        with pytest.raises(AssertionError):
            verify(headers, body, other_key)
