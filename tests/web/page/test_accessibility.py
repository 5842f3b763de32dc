"""Authentication by the browser's own dialog, and what a screen reader gets."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Error, expect
from tests.web.page.conftest import HOSTS, Visit, until_drawn, watch
from tests.web.page.live_run import LiveRun

TOKEN = "correct horse battery staple"


def test_the_page_works_with_the_token_as_the_password_and_not_without(browser: Browser) -> None:
    with LiveRun({f"chess-{number:02}": HOSTS[0] for number in range(4)}, token=TOKEN) as run:
        without_token = browser.new_context()
        with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):  # a dialog in a headless browser
            without_token.new_page().goto(run.url)
        without_token.close()

        with_token = browser.new_context(http_credentials={"username": "me", "password": TOKEN})
        page, console_errors = with_token.new_page(), list[str]()
        watch(page, console_errors)
        page.goto(run.url)
        until_drawn(page)
        expect(page.locator("#summary")).to_have_text("All 4 engines answer.")
        run.become(503, "chess-02")
        expect(page.locator("#summary")).to_contain_text("1 of 4 engines is down: chess-02")
        assert console_errors == []
        with_token.close()


def test_a_screen_reader_gets_what_the_page_shows(visit: Visit, run: LiveRun) -> None:
    page = visit.page
    run.become(503, "chess-05")
    expect(page.locator("#summary")).to_contain_text("chess-05")
    tree = page.locator("body").aria_snapshot()
    assert "1 of 40 engines is down: chess-05" in tree
    assert re.search(r"- heading .*[Ii]ncidents", tree)
    assert re.search(r"- heading .*[Tt]ransitions", tree)
    assert "chess-05" in tree
    unnamed = [
        line for line in tree.splitlines() if re.fullmatch(r"\s*- (button|link|textbox|searchbox|combobox):?", line)
    ]
    assert unnamed == [], "every control has a name"
    live = page.locator("[aria-live], [role=status], [role=log]")
    assert live.count() >= 1, "changes are announced"
    run.become(200, "chess-05")
    expect(page.locator("#summary")).to_have_text("All 40 engines answer.")
