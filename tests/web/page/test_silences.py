"""The page names the silences that are in force: which games, until when, by whom and why."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Browser, expect
from tests.web.page.conftest import until_drawn, watch
from tests.web.page.live_run import LiveRun
from tests.web.page.test_looks import violations

from healthprobe.domain.alarms.silence import SILENCES, Matcher, Silence
from healthprobe.domain.outcome import HEALTHY
from healthprobe.testing.prober import UNAVAILABLE, ScriptedProber
from healthprobe.testing.stage import game


def test_a_silence_is_shown_with_who_and_why_until_it_is_ended(browser: Browser) -> None:
    now = datetime.now(UTC)
    silence = Silence(
        id="s-1",
        matcher=Matcher(host="127.0.0.1", labels={"team": "<b>eu</b>"}),
        who="anna@ops",
        why="new rack",
        created_at=now,
        ends_at=now + timedelta(hours=1),
    )
    with LiveRun(records=[game("chess")], prober=ScriptedProber(chess=HEALTHY)) as run:
        run.until_probed("chess")
        page, console_errors = browser.new_page(viewport={"width": 1280, "height": 800}), list[str]()
        watch(page, console_errors)
        page.goto(run.url)
        until_drawn(page)
        expect(page.locator("#silences-part")).to_be_hidden()
        run.do(run.log.put_documents(SILENCES, {"s-1": json.dumps(silence.as_document())}))
        row = page.locator("#silences li")
        expect(row).to_contain_text("host 127.0.0.1 and team=<b>eu</b>")
        expect(row).to_contain_text(", by anna@ops: new rack")
        assert violations(page) == ""
        run.do(run.log.put_documents(SILENCES, {"s-1": None}))
        expect(page.locator("#silences-part")).to_be_hidden()
        assert console_errors == []
        page.close()


def test_an_open_incident_says_until_when_it_is_silenced(browser: Browser) -> None:
    now = datetime.now(UTC)
    silence = Silence(
        id="s-1", matcher=Matcher(games=("chess",)), who="", why="", created_at=now, ends_at=now + timedelta(hours=1)
    )
    with LiveRun(records=[game("chess")], prober=ScriptedProber(chess=UNAVAILABLE)) as run:
        page = browser.new_page(viewport={"width": 400, "height": 800})
        page.goto(run.url)
        until_drawn(page)
        row = page.locator("#incidents-open li")
        expect(row).to_contain_text("since ")
        expect(row).not_to_contain_text("silenced")
        run.do(run.log.put_documents(SILENCES, {"s-1": json.dumps(silence.as_document())}))
        expect(row).to_contain_text("silenced until ")
        assert violations(page) == ""
        run.do(run.log.put_documents(SILENCES, {"s-1": None}))
        expect(row).not_to_contain_text("silenced")
        page.close()
