"""The page below a sub-path of a reverse proxy: every file, call and stream is asked for below that path."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.web.page.conftest import until_drawn, watch
from tests.web.page.live_run import LiveRun
from tests.web.page.sub_path_proxy import sub_path_proxy


@pytest.fixture(params=[pytest.param("/health/", marks=pytest.mark.slow), "/ops/game%20engines/"])
def proxied(request: pytest.FixtureRequest, browser: Browser, run: LiveRun) -> Iterator[Page]:
    """The page below a sub-path. At the end nothing was asked for outside of it, and the console is empty."""
    refused, console_errors = list[str](), list[str]()
    proxy = sub_path_proxy(request.param, run.port, refused)
    url = run.do(proxy.__aenter__())
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page = context.new_page()
    watch(page, console_errors)
    page.goto(url)
    yield page
    context.close()
    run.do(proxy.__aexit__(None, None, None))
    assert refused == []
    assert console_errors == []


def test_the_page_works_below_a_sub_path(proxied: Page, run: LiveRun) -> None:
    page, url = proxied, proxied.url
    until_drawn(page)
    expect(page.locator("#summary")).to_have_text("All 40 engines answer.")
    assert page.evaluate("document.styleSheets.length") == 1
    run.become(503, "chess-09")
    try:
        expect(page.locator("#summary")).to_contain_text("chess-09")
        expect(page.locator("#transitions .row").first).to_contain_text("failed: unexpected status 503")
        page.locator("#incidents-open button").first.click()
        expect(page.locator("#drawer .error")).to_have_text("unexpected status 503")
        assert page.url == f"{url}?game=chess-09"
        page.reload()
        expect(page.get_by_role("dialog", name="chess-09")).to_be_visible()
        page.get_by_role("button", name="Close").click()
        assert page.url == url
    finally:
        run.become(200, "chess-09")
    expect(page.locator("#summary")).to_have_text("All 40 engines answer.")


def test_nothing_on_the_page_points_at_the_root(proxied: Page) -> None:
    until_drawn(proxied)
    html = proxied.request.get(proxied.url).text()
    assert re.findall(r"""(?:href|src)=["']/[^"']*""", html) == []
