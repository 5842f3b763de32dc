"""The page in a browser, with a real run whose engines fail and recover on command."""

from __future__ import annotations

import re
import time

from playwright.sync_api import Page, expect
from tests.web.page.conftest import Visit
from tests.web.page.live_run import LiveRun

expect.set_options(timeout=60_000)

_STATE_OF_PIXEL = """
([id]) => import("/page.js").then(({ page }) => {
  const { grid, fleet } = page;
  const { x, y } = grid.cornerOf(fleet.slots.get(id));
  const scale = window.devicePixelRatio;
  const pen = document.getElementById("cells").getContext("2d");
  const pixel = [...pen.getImageData((x + 1) * scale, (y + 1) * scale, 1, 1).data].slice(0, 3);
  return pixel.map((part) => part.toString(16).padStart(2, "0")).join("");
})
"""


def corner_of(page: Page, game_id: str) -> str:
    """Returns the colour of the corner of a cell, which is filled only if the engine is down."""
    return str(page.evaluate(_STATE_OF_PIXEL, [game_id]))


def test_a_failure_is_shown_in_headline_grid_and_incidents_until_the_engine_recovers(
    visit: Visit, run: LiveRun
) -> None:
    page = visit.page
    expect(page.locator("#summary")).to_have_text("All 40 engines answer.")
    before = corner_of(page, "chess-07")
    run.become(503, "chess-07")
    while not run.log.events_of("chess-07"):
        time.sleep(0.01)
    decided = time.monotonic()
    down = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--down')")
    while corner_of(page, "chess-07") != down.strip("# "):
        time.sleep(0.02)
    seen_after = time.monotonic() - decided
    assert seen_after < 2.5, f"it took {seen_after:.1f} s from the decision to the pixel"
    expect(page.locator("#summary")).to_contain_text("1 of 40 engines is down: chess-07")
    expect(page.locator("#fact-down dd")).to_have_text("1 of 40")
    expect(page.locator("#fact-scope dd")).to_have_text("one engine")
    expect(page.locator("#fact-delivery dd")).to_have_text("all delivered to webhook")
    expect(page).to_have_title("1 down · healthprobe")
    incident = page.locator("#incidents-open .row")
    expect(incident).to_have_count(1)
    expect(incident).to_contain_text("chess-07")
    expect(incident).to_contain_text("unexpected status 503")
    expect(page.locator("#transitions .row").first).to_contain_text("failed: unexpected status 503")
    run.become(200, "chess-07")
    expect(incident).to_have_count(0)
    expect(page.locator("#incidents-ended .row").first).to_contain_text("chess-07")
    expect(page.locator("#transitions .row").first).to_contain_text("recovered after")
    assert corner_of(page, "chess-07") == before


def test_a_delivery_that_fails_is_shown_with_its_error_until_it_works_again(visit: Visit, run: LiveRun) -> None:
    page = visit.page
    run.publisher.unavailable = True
    run.become(503, "chess-07")
    expect(page.locator("#fact-delivery dd")).to_have_text(
        "delivery failing: webhook (it was switched off; switch it on again)"
    )
    expect(page.locator("#publishers .bad")).to_contain_text(
        "1 pending, delivery failing: it was switched off; switch it on again"
    )
    run.publisher.unavailable = False
    expect(page.locator("#fact-delivery dd")).to_have_text("all delivered to webhook")
    expect(page.locator("#publishers .bad")).to_have_count(0)
    run.become(200, "chess-07")
    expect(page.locator("#incidents-open .row")).to_have_count(0)


def test_a_click_on_a_cell_opens_its_game_with_the_exact_error(visit: Visit, run: LiveRun) -> None:
    page = visit.page
    run.become("crash", "chess-11")
    try:
        expect(page.locator("#summary")).to_contain_text("chess-11")
        box = page.locator("#cells").bounding_box()
        at = page.evaluate(
            "import('/page.js').then(({ page: { grid, fleet } }) => grid.cornerOf(fleet.slots.get('chess-11')))"
        )
        assert box is not None
        page.mouse.click(box["x"] + at["x"] + 5, box["y"] + at["y"] + 5)
        drawer = page.get_by_role("dialog", name="chess-11")
        expect(drawer.locator(".error")).to_have_text("connection refused")
        expect(drawer.locator(".state-now")).to_contain_text("down")
        expect(drawer).to_contain_text("One answer with 200 ends the incident")
        expect(drawer.get_by_role("img").first).to_have_attribute("aria-label", re.compile("refused.*latency"))
        expect(drawer.get_by_role("img").nth(1)).to_have_attribute("aria-label", re.compile("Available .*1 incident"))
        expect(drawer.locator("li", has_text="open")).to_have_count(1)
    finally:
        run.become(200, "chess-11")
    expect(drawer.locator(".state-now")).to_contain_text("healthy")
    assert "game=chess-11" in page.url
    page.go_back()
    expect(drawer).to_be_hidden()


def test_the_url_opens_the_same_view_for_someone_else(visit: Visit, run: LiveRun) -> None:
    page = visit.page
    page.get_by_label("Game id").fill("chess-1")
    page.get_by_label("Host").fill("127.0.0.3")
    page.get_by_role("button", name=re.compile("healthy")).click()
    expect(page.locator("#matches-list li")).to_have_count(3)
    expect(page.locator("#matches-summary")).to_contain_text("3 of 40 engines match")
    page.locator("#matches-list button", has_text="chess-14").click()
    expect(page.get_by_role("dialog", name="chess-14")).to_be_visible()
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.get_by_label("Game id")).to_have_value("chess-1")
    expect(other.get_by_label("Host")).to_have_value("127.0.0.3")
    expect(other.get_by_role("button", name=re.compile("healthy"))).to_have_attribute("aria-pressed", "true")
    expect(other.locator("#matches-list li")).to_have_count(3)
    expect(other.get_by_role("dialog", name="chess-14")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#matches")).to_be_hidden()
    assert page.url == run.url


def test_a_lost_connection_is_shown_until_the_prober_is_back(visit: Visit, run: LiveRun) -> None:
    page = visit.page
    expect(page.locator("#summary")).to_have_text("All 40 engines answer.")
    run.stop_serving()
    expect(page.locator("#connection")).to_contain_text(re.compile(r"disconnected, last seen \d\d:\d\d:\d\d"))
    expect(page).to_have_title("disconnected · healthprobe")
    run.serve()
    expect(page.locator("#connection")).to_be_hidden()
    run.become(500, "chess-20")
    expect(page.locator("#summary")).to_contain_text("chess-20")
    run.become(200, "chess-20")
    expect(page.locator("#summary")).to_have_text("All 40 engines answer.")


def test_everything_works_by_keyboard(visit: Visit, run: LiveRun) -> None:
    page = visit.page
    run.become(503, "chess-25")
    try:
        expect(page.locator("#summary")).to_contain_text("chess-25")
        page.locator("#search-label").focus()
        page.keyboard.press("Tab")
        expect(page.locator("#grid")).to_be_focused()
        expect(page.locator("#announcer")).to_contain_text("chess-00, healthy, on 127.0.0.1")
        page.keyboard.press("ArrowRight")
        expect(page.locator("#announcer")).to_contain_text("chess-01")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("n")
        expect(page.locator("#announcer")).to_contain_text("chess-25, down")
        page.keyboard.press("Enter")
        drawer = page.get_by_role("dialog", name="chess-25")
        expect(drawer.locator(".error")).to_have_text("unexpected status 503")
        expect(page.locator("#drawer-title")).to_be_focused()
        page.keyboard.press("Escape")
        expect(drawer).to_be_hidden()
        expect(page.locator("#grid")).to_be_focused()
    finally:
        run.become(200, "chess-25")
