"""A browser for the tests of the page, and a run for it to watch. Where there is no Chromium they are skipped."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.web.page.live_run import LiveRun

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One a module, and gone after it: while it runs, no other test of this process can have a loop of its own."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def run() -> Iterator[LiveRun]:
    """Forty real engines on four hosts, all well at first; a test that lets one fail lets it recover."""
    with LiveRun({f"chess-{number:02}": HOSTS[number % len(HOSTS)] for number in range(40)}) as live:
        yield live


@dataclass(slots=True)
class Visit:
    """A page that is open at a run, with what its console complained of."""

    page: Page
    complaints: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser: Browser, run: LiveRun) -> Iterator[Visit]:
    """The page, open and drawn. In the end nothing may be on its console but that the server was away."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    visit = Visit(context.new_page())
    watch(visit.page, visit.complaints)
    visit.page.goto(run.url)
    until_drawn(visit.page)
    yield visit
    context.close()
    assert [told for told in visit.complaints if "net::ERR_" not in told] == []


def watch(page: Page, complaints: list[str]) -> None:
    """Collect what the console of `page` complains of, violations of the Content-Security-Policy among it."""
    page.on("console", lambda told: complaints.append(told.text) if told.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))


def until_drawn(page: Page, patience: float = 10.0) -> None:
    """Wait until the fleet is drawn and told of. Nothing is evaluated in `page`, which forbids that it be."""
    expect(page.locator("#cells")).to_have_attribute("aria-label", re.compile("engines: "), timeout=patience * 1000)
