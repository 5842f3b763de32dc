"""Many tabs of one browser, which opens six connections to a host at most: they share one stream."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.web.page.conftest import until_drawn, watch
from tests.web.page.live_run import LiveRun

TABS = 7
ALL_ANSWER = "All 40 engines answer."

WITHOUT_SHARED_WORKERS = "delete globalThis.SharedWorker;"
SHARED_WORKERS_FORBIDDEN = "globalThis.SharedWorker = class { constructor() { throw new DOMException('no'); } };"
SHARED_WORKERS_THAT_DO_NOT_START = """
const Real = SharedWorker;
globalThis.SharedWorker = class extends Real { constructor(_, options) { super("no-such.js", options); } };
"""
HIDE = """
(isHidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
  document.dispatchEvent(new Event("visibilitychange"));
}
"""
"""Headless Chromium takes all tabs for visible."""
ASK = """
async () => {
  const answer = await fetch("api/fleet", { signal: AbortSignal.timeout(5000) });
  return (await answer.json()).games;
}
"""


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    yield context
    context.close()


def opened(context: BrowserContext, run: LiveRun, tabs: int, console_errors: list[str] | None = None) -> list[Page]:
    """Opens so many tabs, and waits for each until it shows the fleet."""
    pages = []
    for _ in range(tabs):
        page = context.new_page()
        watch(page, [] if console_errors is None else console_errors)
        page.goto(run.url)
        until_drawn(page)
        expect(page.locator("#summary")).to_have_text(ALL_ANSWER)
        pages.append(page)
    return pages


def opened_late(context: BrowserContext, run: LiveRun) -> Page:
    """Opens a tab during an incident: it gets what the stream has sent before."""
    page = context.new_page()
    page.goto(run.url)
    until_drawn(page)
    expect(page.locator("#summary")).to_contain_text("is down")
    return page


def expect_on_all(pages: list[Page], text: str) -> None:
    for page in pages:
        expect(page.locator("#summary")).to_contain_text(text)


def until_streams(run: LiveRun, streams: int) -> None:
    """Waits until the run serves so many streams."""
    ends = time.monotonic() + 10
    while run.streams != streams and time.monotonic() < ends:
        time.sleep(0.05)
    assert run.streams == streams


def test_seven_tabs_follow_the_fleet_on_one_stream(context: BrowserContext, run: LiveRun) -> None:
    console_errors: list[str] = []
    pages = opened(context, run, TABS, console_errors)
    assert run.streams == 1
    games = pages[0].evaluate(ASK)
    assert games == 40
    run.become(503, "chess-13")
    try:
        expect_on_all(pages, "1 of 40 engines is down: chess-13")
        for page in pages:
            expect(page.locator("#incidents-open .row")).to_have_count(1)
            expect(page.locator("#cells")).to_have_attribute("aria-label", re.compile("^40 engines: 1 down"))
        pages[6].locator("#incidents-open button").first.click()
        expect(pages[6].locator("#drawer .error")).to_have_text("unexpected status 503")
        late = opened_late(context, run)
        expect(late.locator("#incidents-open .row")).to_have_count(1)
    finally:
        run.become(200, "chess-13")
    expect_on_all(pages, ALL_ANSWER)
    assert console_errors == []


@pytest.mark.slow
def test_the_tab_that_was_first_may_be_closed(context: BrowserContext, run: LiveRun) -> None:
    first, *others = opened(context, run, 3)
    first.close()
    others.pop(0).goto("about:blank")
    run.become(503, "chess-15")
    try:
        expect_on_all(others, "chess-15")
        assert run.streams == 1
    finally:
        run.become(200, "chess-15")
    expect_on_all(others, ALL_ANSWER)
    others[0].close()
    until_streams(run, 0)


@pytest.mark.slow
def test_all_tabs_are_back_after_a_restart_of_the_run(context: BrowserContext, run: LiveRun) -> None:
    pages = opened(context, run, TABS)
    run.stop_serving()
    for page in pages:
        expect(page.locator("#connection")).to_contain_text("disconnected")
    run.serve()
    for page in pages:
        expect(page.locator("#connection")).to_be_hidden(timeout=15_000)
    run.become(503, "chess-17")
    try:
        expect_on_all(pages, "chess-17")
        assert run.streams == 1
    finally:
        run.become(200, "chess-17")
    expect_on_all(pages, ALL_ANSWER)


@pytest.mark.parametrize(
    "script",
    [
        WITHOUT_SHARED_WORKERS,
        pytest.param(SHARED_WORKERS_FORBIDDEN, marks=pytest.mark.slow),
        pytest.param(SHARED_WORKERS_THAT_DO_NOT_START, marks=pytest.mark.slow),
    ],
)
def test_without_shared_workers_a_hidden_tab_ends_its_stream(
    context: BrowserContext, run: LiveRun, script: str
) -> None:
    context.add_init_script(script)
    pages = opened(context, run, 2)
    assert run.streams == 2
    pages[0].evaluate(HIDE, True)
    until_streams(run, 1)
    run.become(503, "chess-19")
    try:
        expect_on_all(pages[1:], "chess-19")
        expect(pages[0].locator("#summary")).to_have_text(ALL_ANSWER)
        pages[0].evaluate(HIDE, False)
        expect_on_all(pages, "chess-19")
        expect(pages[0].locator("#connection")).to_be_hidden()
        assert run.streams == 2
    finally:
        run.become(200, "chess-19")
    expect_on_all(pages, ALL_ANSWER)
