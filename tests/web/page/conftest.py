"""A browser for the tests of the page, and a run to show. Without Chromium these tests are skipped."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from tests.web.page.live_run import LiveRun

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser per module: while it runs, no other test of this process can have an event loop."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def run() -> Iterator[LiveRun]:
    """Forty real engines on four hosts, all healthy; a test that makes one fail makes it recover."""
    with LiveRun({f"chess-{number:02}": HOSTS[number % len(HOSTS)] for number in range(40)}) as live:
        yield live


@dataclass(slots=True)
class Visit:
    """An open page and the warnings and errors of its console."""

    page: Page
    console_errors: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser: Browser, run: LiveRun) -> Iterator[Visit]:
    """The open page. At the end its console may only have connection errors."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    visit = Visit(context.new_page())
    watch(visit.page, visit.console_errors)
    visit.page.goto(run.url)
    until_drawn(visit.page)
    yield visit
    context.close()
    assert [error for error in visit.console_errors if "net::ERR_" not in error] == []


def watch(page: Page, console_errors: list[str]) -> None:
    """Collects the errors and warnings of the console of `page`, including violations of the content policy."""

    def collect(line: ConsoleMessage) -> None:
        if line.type in {"error", "warning"}:
            console_errors.append(f"{line.text} ({line.location['url']})")

    page.on("console", collect)
    page.on("pageerror", lambda error: console_errors.append(str(error)))


def until_drawn(page: Page, timeout: float = 10.0) -> None:
    """Waits until the fleet is drawn. Nothing is evaluated in `page`, as its content policy forbids that."""
    expect(page.locator("#cells")).to_have_attribute("aria-label", re.compile("engines: "), timeout=timeout * 1000)
