"""Labels on the page: the filter and the groups, kept in the URL."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.web.page.conftest import watch
from tests.web.page.live_run import LiveRun
from tests.web.page.test_looks import LOOKS, violations

from healthprobe.domain.outcome import HEALTHY
from healthprobe.testing.prober import UNAVAILABLE, ScriptedProber
from healthprobe.testing.stage import game

expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def labelled_run() -> Iterator[LiveRun]:
    """Thirty engines of three teams and two without a label; one of the team eu is down."""
    regions = [{"region": "eu-1"}, {}]
    teams = [{"team": ("eu", "us", "apac")[number % 3], **regions[number % 2]} for number in range(30)]
    records = [replace(game(f"chess-{number:02}"), labels=labels) for number, labels in enumerate([*teams, {}, {}])]
    prober = ScriptedProber()
    prober.script_all_others(HEALTHY)
    prober.script("chess-03", UNAVAILABLE)
    with LiveRun(records=records, prober=prober) as live:
        live.until_probed("chess-31")
        yield live


pytestmark = pytest.mark.slow


@pytest.mark.parametrize("look", ["light", "dark", "narrow"])
def test_engines_are_filtered_and_grouped_by_label_and_the_url_shows_the_same(
    browser: Browser, labelled_run: LiveRun, look: str, tmp_path: Path
) -> None:
    pictures = Path(os.environ.get("HEALTHPROBE_SCREENSHOTS") or tmp_path)
    width, height, scheme = LOOKS[look]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    page, console_errors = context.new_page(), list[str]()
    watch(page, console_errors)
    page.goto(labelled_run.url)
    expect(page.locator("#summary")).to_contain_text("1 of 32 engines is down")
    page.get_by_label("Group by label").select_option("team")
    groups = page.locator("#groups li")
    expect(groups).to_have_count(4)
    expect(groups.first).to_contain_text("eu")
    expect(groups.first).to_contain_text("of 10")
    expect(groups.last).to_contain_text("no team")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == ""
    page.screenshot(path=pictures / f"{look}-groups.png")
    groups.first.get_by_role("button").click()
    expect(page).to_have_url(re.compile(r"\?label=team%3Deu&group=team$"))
    expect(page.locator("#matches-summary")).to_contain_text("10 of 32 engines match")
    expect(groups).to_have_count(1)
    page.screenshot(path=pictures / f"{look}-label.png")
    page.reload()
    expect(page.locator("#matches-summary")).to_contain_text("10 of 32 engines match")
    expect(page.get_by_label("Labels", exact=True)).to_have_value("team=eu")
    page.get_by_label("Labels", exact=True).fill("team=, region=")
    expect(page.locator("#matches-summary")).to_contain_text("2 of 32 engines match")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#matches")).to_be_hidden()
    assert console_errors == []
    context.close()


def test_a_label_that_changes_is_on_the_page_within_a_second_or_two(browser: Browser, labelled_run: LiveRun) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{labelled_run.url}?label=team%3Dmars&game=chess-07")
    expect(page.locator("#drawer")).to_contain_text("team=us")
    expect(page.locator("#matches-summary")).to_contain_text("0 of 32 engines match")
    labelled_run.records.put(replace(game("chess-07"), labels={"team": "mars"}))
    expect(page.locator("#matches-summary")).to_contain_text("1 of 32 engines match")
    expect(page.locator("#drawer")).to_contain_text("team=mars")
    page.close()
