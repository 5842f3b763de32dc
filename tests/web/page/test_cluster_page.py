"""The page of a prober in a cluster shows the instances, and shards that no instance holds."""

from __future__ import annotations

from playwright.sync_api import Browser, expect
from tests.support.few_instances import FIRST, SECOND, FewInstances
from tests.web.page.conftest import HOSTS, until_drawn, watch
from tests.web.page.live_run import LiveRun


def test_the_instances_of_a_cluster_are_shown_with_their_shards_and_duties(browser: Browser) -> None:
    cluster = FewInstances()
    with LiveRun({"chess-1": HOSTS[0]}, cluster=cluster) as run:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        console_errors: list[str] = []
        watch(page, console_errors)
        page.goto(run.url)
        until_drawn(page)
        rows = page.locator("#instances > li")
        expect(rows).to_have_count(3)
        expect(rows.nth(0)).to_contain_text("node-a-17-c0ffee")
        expect(rows.nth(0)).to_contain_text("128 shards, 60,123 games")
        expect(rows.nth(0)).to_contain_text("delivers")
        expect(rows.nth(0)).to_contain_text("took over 43 shards after their leases expired")
        expect(rows.nth(2)).to_contain_text("blind")
        expect(page.locator("#cluster-trouble")).to_be_hidden()
        cluster.instances, cluster.silent_for = [FIRST], 75.0
        trouble = "128 of 256 shards are held by no instance; no news from the cluster for 1m15s"
        expect(page.locator("#cluster-trouble")).to_have_text(trouble)
        expect(rows).to_have_count(1)
        cluster.instances, cluster.silent_for = [FIRST, SECOND], 0.2
        expect(page.locator("#cluster-trouble")).to_be_hidden()
        assert console_errors == []
        page.close()


def test_a_prober_outside_a_cluster_shows_no_instances(browser: Browser) -> None:
    with LiveRun({"chess-1": HOSTS[0]}) as run:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        console_errors: list[str] = []
        watch(page, console_errors)
        page.goto(run.url)
        until_drawn(page)
        expect(page.locator("#prober-facts")).to_contain_text("running")
        expect(page.locator("#cluster")).to_be_hidden()
        assert console_errors == []
        page.close()
