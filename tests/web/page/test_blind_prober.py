"""The page says first when the prober itself is in trouble."""

from __future__ import annotations

import re
from dataclasses import replace

from playwright.sync_api import Browser, expect
from tests.web.page.conftest import HOSTS, until_drawn, watch
from tests.web.page.live_run import SETTINGS, LiveRun

BLIND = replace(SETTINGS, canaries=("http://127.0.0.1:1/",))


def test_a_blind_prober_says_so_and_reports_no_failure(browser: Browser) -> None:
    with LiveRun({f"chess-{number:02}": HOSTS[0] for number in range(6)}, settings=BLIND) as run:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        console_errors: list[str] = []
        watch(page, console_errors)
        page.goto(run.url)
        until_drawn(page)
        run.become(503, "chess-03")
        summary = re.compile(
            r"^The prober itself is in trouble: no canary has answered for \d+s, so no failure is counted"
        )
        expect(page.locator("#summary")).to_have_text(summary)
        canaries = page.locator("#prober-facts > *", has_text="Canaries")
        expect(canaries).to_contain_text(re.compile(r"none has answered for \d+s"))
        expect(page.get_by_text("no failure is counted: no canary answers")).to_be_visible()
        assert run.log.events == []
        assert console_errors == []
        page.close()
