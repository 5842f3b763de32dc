"""--alert: a URL is opened as the alerters that it names, and alerts link to the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.servers.alertmanager import AlertmanagerServer, needs_alertmanager
from tests.support.program import CommandLine, documents

from healthprobe.app.settings import Settings
from healthprobe.app.urls import Adapters
from healthprobe.ports import ConfigurationError, RepeatingAlerter
from healthprobe.web.listen_address import parse_listen_address

KEY = "0123456789abcdef0123456789abcdef"


async def test_each_alertmanager_of_a_url_is_an_alerter_that_is_repeated() -> None:
    async with Adapters() as adapters:
        alerters = await adapters.alerters("alertmanager+http://am-1:9093,am-2:9093/ops")
    assert list(alerters) == ["alertmanager+http://am-1:9093/ops", "alertmanager+http://am-2:9093/ops"]
    assert all(isinstance(alerter, RepeatingAlerter) for alerter in alerters.values())


@pytest.mark.parametrize("url", ["pagerduty:env:PD", "pagerduty+http://127.0.0.1:8080?key=env:PD"])
async def test_pagerduty_is_an_alerter_that_is_not_repeated(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PD", KEY)
    async with Adapters() as adapters:
        [(name, alerter)] = (await adapters.alerters(url)).items()
    assert name == url
    assert not isinstance(alerter, RepeatingAlerter)


async def test_an_unknown_alerter_is_refused_with_those_that_there_are() -> None:
    async with Adapters() as adapters:
        with pytest.raises(ConfigurationError, match=r"use alertmanager\+http: or alertmanager\+https: or pagerduty:"):
            await adapters.alerters("opsgenie:secret")


@needs_alertmanager
def test_check_asks_each_alertmanager_by_its_path_and_login(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "engines.yaml").write_text("[]\n")
    with AlertmanagerServer(prefix="/ops/am") as server:
        for url, verdict, words in (
            (server.url, "ok", "it answers"),
            (
                server.url.removesuffix("/am"),
                "wrong",
                "answered 404: 404 page not found; check the path prefix of the URL",
            ),
        ):
            checked = command_line("run", "--check", "--json", "--records", "file:engines.yaml", "--alert", url)
            [found] = [each for each in documents(checked.out) if each["part"] == "alert"]
            assert found["verdict"] == verdict
            assert words in found["message"]


@pytest.mark.parametrize(
    ("listen", "page_url", "expected"),
    [
        ("127.0.0.1:8600", None, "http://127.0.0.1:8600/"),
        ("localhost:8600", None, "http://localhost:8600/"),
        ("127.0.0.1:8600", "https://ops.example/health", "https://ops.example/health"),
        ("off", "https://ops.example/health", "https://ops.example/health"),
        ("127.0.0.1:0", None, None),
        (":8600", None, None),
        ("0.0.0.0:8600", None, None),
        ("[::]:8600", None, None),
        ("unix:/run/healthprobe.sock", None, None),
        ("off", None, None),
    ],
)
def test_alerts_link_to_the_page_where_people_reach_it(listen: str, page_url: str | None, expected: str | None) -> None:
    settings = Settings(listen=parse_listen_address(listen), page_url=page_url, token="a long word")
    assert settings.page == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--alert", f"pagerduty:{KEY}"), "names no secret: write pagerduty:env:NAME"),
        (("--alert", "alertmanager+http://probe:s3cr3t@am"), "has a password in it"),
        (("--alert", "alertmanager://am"), "not a known URL; use alertmanager+http:"),
        (("--page-url", "ops.example"), "begin it with http://"),
        (("--page-url", "https://user:s3cr3t@ops.example"), "people cannot follow"),
        (("--page-url", "unix:/run/healthprobe.sock"), "people cannot follow"),
    ],
)
def test_what_cannot_be_used_is_refused_without_its_secret(
    command_line: CommandLine, tmp_path: Path, arguments: tuple[str, str], expected: str
) -> None:
    (tmp_path / "engines.yaml").write_text("[]\n")
    refused = command_line("run", "--records", "file:engines.yaml", *arguments)
    assert refused.code == 2
    text = " ".join(" ".join(refused.err).split())
    assert expected in text
    assert KEY not in text
    assert "s3cr3t" not in text
