"""Ids, containers and errors are text on the page, even if they look like markup."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.web.page.conftest import until_drawn, watch
from tests.web.page.live_run import LiveRun

from healthprobe.domain.outcome import Failed
from healthprobe.testing.prober import ScriptedProber
from healthprobe.testing.stage import game

MARKUP = "<img src=x onerror=\"window.taken='game'\">"
SCRIPT = "</script><script>window.taken='error'</script>"
LINK = "javascript:window.taken='link'//\u202egnp.exe"


@pytest.fixture(scope="module")
def hostile_run() -> Iterator[LiveRun]:
    """Three failing games with markup in their ids, containers and errors."""
    games = (MARKUP, SCRIPT, LINK)
    records = [game(name, f"container {MARKUP}", "http://127.0.0.1:8080") for name in games]
    answers = {name: (Failed(500, f"unexpected {MARKUP} {SCRIPT}"),) for name in games}
    with LiveRun(records=records, prober=ScriptedProber(**answers)) as live:
        yield live


@pytest.fixture
def hostile_page(browser: Browser, hostile_run: LiveRun) -> Iterator[tuple[Page, list[str]]]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page, console_errors = context.new_page(), list[str]()
    watch(page, console_errors)
    page.goto(hostile_run.url)
    until_drawn(page)
    yield page, console_errors
    context.close()


@pytest.mark.proves("page-markup")
def test_markup_in_ids_and_errors_is_shown_as_text_and_never_run(
    hostile_page: tuple[Page, list[str]], hostile_run: LiveRun
) -> None:
    page, console_errors = hostile_page
    expect(page.locator("#incidents-open .row")).to_have_count(3)
    expect(page.locator("#incidents-open")).to_contain_text(MARKUP)
    expect(page.locator("#incidents-open")).to_contain_text(SCRIPT)
    for name in (MARKUP, SCRIPT, LINK):
        page.locator("#incidents-open button", has_text=name).first.click()
        expect(page.locator("#drawer-title")).to_have_text(name)
        expect(page.locator("#drawer-body")).to_contain_text(f"unexpected {MARKUP}")
        expect(page.locator("#drawer-body")).to_contain_text(f"container {MARKUP}")
        page.goto(f"{hostile_run.url}?game={quote(name)}#{quote(name)}")
        until_drawn(page)
    assert page.evaluate("document.images.length") == 0
    assert page.evaluate("[...document.scripts].every((script) => script.src.startsWith(location.origin))")
    assert page.evaluate("window.taken") is None
    assert console_errors == [], "the content policy had nothing to stop"
