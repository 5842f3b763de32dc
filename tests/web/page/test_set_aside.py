"""The page names the games that the log cannot hold, and an event that waits too long for the log."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.web.page.conftest import until_drawn, watch
from tests.web.page.live_run import LiveRun
from tests.web.page.test_looks import violations

from healthprobe.domain.outcome import HEALTHY
from healthprobe.testing.prober import UNAVAILABLE, ScriptedProber
from healthprobe.testing.stage import game

GAMES = ("chess-1", "漢字-1", "<b>ludo-1</b>", "go-1")


def reading(page: Page, name: str) -> Locator:
    return page.locator("#prober-facts > *", has_text=name)


def test_games_that_the_log_cannot_hold_are_named_with_the_reason(browser: Browser) -> None:
    prober = ScriptedProber(**dict.fromkeys(GAMES, HEALTHY))
    records = [game(name, "c0ffee", "http://127.0.0.1:8080") for name in GAMES]
    with LiveRun(records=records, prober=prober) as run:
        run.until_probed("go-1")
        page, console_errors = browser.new_page(viewport={"width": 1280, "height": 800}), list[str]()
        watch(page, console_errors)
        page.goto(run.url)
        until_drawn(page)
        expect(page.locator("#set-aside-part")).to_be_hidden()
        run.log.unacceptable.update(GAMES[1:3])
        for name in GAMES[:3]:
            prober.script(name, UNAVAILABLE)
        rows = page.locator("#set-aside .row")
        expect(rows).to_have_count(2)
        expect(page.locator("#set-aside")).to_contain_text("漢字-1:1 will never be taken")
        expect(page.locator("#set-aside")).to_contain_text("<b>ludo-1</b>:1 will never be taken")
        expect(page.locator("#fact-delivery dd")).to_have_text("2 games set aside: the log cannot hold them")
        expect(page.locator("#fact-delivery")).to_have_class("bad")
        expect(page.locator("#transitions .row")).to_have_count(1)
        rows.get_by_role("button", name="漢字-1").click()
        expect(page.get_by_role("dialog", name="漢字-1")).to_contain_text("down")
        assert violations(page) == ""
        assert console_errors == []
        page.close()


@pytest.mark.slow
def test_an_event_that_waits_too_long_for_the_log_is_trouble_with_its_cause(browser: Browser) -> None:
    prober = ScriptedProber(**{"chess-1": HEALTHY})
    with LiveRun(records=[game("chess-1")], prober=prober) as run:
        run.until_probed("chess-1")
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(run.url)
        until_drawn(page)
        run.log.unavailable = True
        prober.script("chess-1", UNAVAILABLE)
        trouble = re.compile(r"its log has taken nothing for \d+s, and 1 event waits for it: it was switched off")
        expect(page.locator("#summary")).to_have_text(trouble)
        expect(reading(page, "Waiting for the log")).to_have_class("bad")
        expect(reading(page, "Waiting for the log")).to_contain_text(re.compile(r"1, for \d+s"))
        answer = page.request.get(f"{run.url}healthz")
        assert answer.status == 503
        assert trouble.match(answer.json()["trouble"])
        run.log.unavailable = False
        expect(page.locator("#summary")).to_contain_text("1 of 1 engines is down: chess-1")
        page.close()
