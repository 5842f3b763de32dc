"""The looks of the page: checked by axe in light and dark, and saved as pictures in $HEALTHPROBE_SCREENSHOTS."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect
from tests.web.page.conftest import watch
from tests.web.page.live_run import LiveRun

from healthprobe._util.duration import Duration
from healthprobe.app.settings import Settings
from healthprobe.domain.event import HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import ProbeTarget
from healthprobe.testing.prober import SILENT, UNAVAILABLE, Answer, Late, ScriptedProber
from healthprobe.testing.stage import game

pytestmark = pytest.mark.slow

Scheme = Literal["light", "dark"]
LOOKS: dict[str, tuple[int, int, Scheme]] = {
    "light": (1440, 900, "light"),
    "dark": (1440, 900, "dark"),
    "narrow": (360, 800, "light"),
    "wide": (2560, 1440, "dark"),
}
KINDS = ("checkers", "chess", "go", "ludo")
GAMES, ON_HOST = 1_200, 40
DOWN: dict[int, tuple[Answer, timedelta]] = {
    217: (UNAVAILABLE, timedelta(minutes=4, seconds=12)),
    448: (Failed(0, "connection refused", FailureKind.REFUSED), timedelta(minutes=31)),
    860: (SILENT, timedelta(seconds=48)),
    1003: (Failed(0, "tls: certificate has expired (on 2026-11-25)", FailureKind.TLS), timedelta(hours=2, minutes=7)),
}
ENDED = {75: 9, 602: 25, 217: 50, 1100: 95}
"""Games with an ended incident, and how many minutes ago it began."""
SILENCE = ProbeFailedDetails(2, 0, "timed out after 0.5s waiting for the response head")
FALTERING = (31, 333, 700, 902, 1140)
SETTINGS = Settings(interval=Duration(2), timeout=Duration(0.5), failures=2)


def records() -> Iterator[RuntimeRecord]:
    for number in range(GAMES):
        host = number // ON_HOST
        game_id = f"{KINDS[number * len(KINDS) // GAMES]}-{number:04}"
        yield game(game_id, f"c{number:05x}", f"http://10.20.{host % 4}.{10 + host}:8080")


def past(games: list[RuntimeRecord]) -> list[HealthEvent]:
    """Returns the events of the log."""
    now, events = datetime.now(UTC), list[HealthEvent]()
    failed = ProbeFailedDetails(2, 503, "unexpected status 503")
    for number, minutes in ENDED.items():
        record, began = games[number], now - timedelta(minutes=minutes)
        events += [
            HealthEvent(1, record.game_id, record.current_container_id, began, failed),
            HealthEvent(
                2,
                record.game_id,
                record.current_container_id,
                began + timedelta(seconds=3 * minutes + 7),
                ProbeRecoveredDetails(minutes),
            ),
        ]
    for number, (answer, ago) in DOWN.items():
        record = games[number]
        details = (
            ProbeFailedDetails(2, answer.last_status, answer.last_error) if isinstance(answer, Failed) else SILENCE
        )
        sequence = 3 if number in ENDED else 1
        events.append(HealthEvent(sequence, record.game_id, record.current_container_id, now - ago, details))
    return sorted(events, key=attrgetter("occurred_at"))


def now_and_then() -> Callable[[ProbeTarget], Answer]:
    """Fails every other time, which is not enough for an event."""
    probes = count()
    return lambda _: UNAVAILABLE if next(probes) % 2 == 0 else HEALTHY


def at_its_pace() -> Callable[[ProbeTarget], Answer]:
    """Answers quickly, and sometimes slowly."""
    probes = count()
    return lambda _: Late(0.002 + 0.04 * (next(probes) * 7919 % 97 / 97) ** 5, HEALTHY)


@pytest.fixture(scope="module")
def troubled_run() -> Iterator[LiveRun]:
    """Twelve hundred engines: some are down for different causes, some fail now and then."""
    games = list(records())
    prober = ScriptedProber()
    prober.script_all_others(at_its_pace())
    for number, (answer, _) in DOWN.items():
        prober.script(games[number].game_id, answer)
    for number in FALTERING:
        prober.script(games[number].game_id, now_and_then())
    with LiveRun(records=games, events=past(games), prober=prober, settings=SETTINGS) as live:
        live.until_probed(games[-1].game_id)
        yield live


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("HEALTHPROBE_SCREENSHOTS") or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def violations(page: Page) -> str:
    """Returns the report of axe, empty if there are no violations."""
    results = Axe().run(page)
    return str(results.generate_report()) if results.violations_count else ""


@pytest.mark.parametrize("look", LOOKS)
def test_the_page_is_accessible_and_fits_its_window(
    browser: Browser, troubled_run: LiveRun, pictures: Path, look: str
) -> None:
    width, height, scheme = LOOKS[look]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page, console_errors = context.new_page(), list[str]()
    watch(page, console_errors)
    page.goto(troubled_run.url)
    expect(page.locator("#summary")).to_contain_text("are down")
    expect(page.locator("#transitions .row")).not_to_have_count(0)
    page.screenshot(path=pictures / f"{look}.png")
    if look == "light":
        sees = context.new_cdp_session(page)
        sees.send("Emulation.setEmulatedVisionDeficiency", {"type": "deuteranopia"})
        page.screenshot(path=pictures / "deuteranopia.png")
        sees.send("Emulation.setEmulatedVisionDeficiency", {"type": "none"})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert look == "wide" or violations(page) == ""
    page.locator("#incidents-open button").first.click()
    expect(page.locator("#drawer .error")).to_be_visible()
    page.wait_for_timeout(200)
    page.screenshot(path=pictures / f"{look}-drawer.png")
    assert look == "wide" or violations(page) == ""
    page.keyboard.press("Escape")
    page.get_by_label("Game id").fill("ches")
    expect(page.locator("#matches-summary")).to_contain_text("300 of 1,200")
    page.screenshot(path=pictures / f"{look}-search.png")
    assert console_errors == []
    context.close()
