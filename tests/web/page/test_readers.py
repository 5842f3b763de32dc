"""Who must know a token gets in by the browser's own dialog; who cannot see is told the same as everybody."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Error, expect
from tests.web.page.conftest import HOSTS, Visit, until_drawn, watch
from tests.web.page.live_run import LiveRun

TOKEN = "correct horse battery staple"


def test_with_the_token_as_the_password_everything_on_the_page_works_and_without_it_nothing(browser: Browser) -> None:
    with LiveRun({f"chess-{number:02}": HOSTS[0] for number in range(4)}, token=TOKEN) as run:
        stranger = browser.new_context()
        with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):  # its dialog, where nobody can answer it
            stranger.new_page().goto(run.url)
        stranger.close()

        known = browser.new_context(http_credentials={"username": "me", "password": TOKEN})
        page, complaints = known.new_page(), list[str]()
        watch(page, complaints)
        page.goto(run.url)
        until_drawn(page)
        expect(page.locator("#summary")).to_have_text("All 4 engines answer.")
        run.become(503, "chess-02")
        expect(page.locator("#summary")).to_contain_text("1 of 4 engines is down: chess-02")
        assert complaints == []
        known.close()


def test_what_a_screen_reader_is_given_says_what_the_eye_sees(visit: Visit, run: LiveRun) -> None:
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
    assert unnamed == [], "everything that can be operated has a name"
    live = page.locator("[aria-live], [role=status], [role=log]")
    assert live.count() >= 1, "what changes is told as it does"
    run.become(200, "chess-05")
    expect(page.locator("#summary")).to_have_text("All 40 engines answer.")
