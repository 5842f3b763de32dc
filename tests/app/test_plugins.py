"""Plugins: a package that adds an adapter is found by its scheme, and named in the error if it is broken."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.program import CommandLine

from healthprobe.adapters.file import FileRecords
from healthprobe.app import plugins
from healthprobe.app.urls import Adapters
from healthprobe.ports import StoreError

Install = Callable[..., None]
"""Installs a package, `acme-adapters`, that brings `SCHEME=FUNCTION`s of these for records, logs and publishers."""

ACME = """
from contextlib import asynccontextmanager
from healthprobe.ports import StoreError

class Acme:
    def __init__(self, url):
        self.url, self.is_open = url, True

@asynccontextmanager
async def of_ours(url):
    acme = Acme(url)
    yield acme
    acme.is_open = False

@asynccontextmanager
async def away(url):
    raise StoreError("acme is away for now")
    yield

@asynccontextmanager
async def broken(url):
    raise ZeroDivisionError(f"while it opens {url}")
    yield

def no_context(url):
    return Acme(url)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    metadata = tmp_path / "installed" / "acme_adapters-1.0.dist-info"

    def install(**functions: str) -> None:
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-adapters\nVersion: 1.0\n")
        lines = "".join(f"{scheme} = {function}\n" for scheme, function in functions.items())
        groups = (plugins.RECORDS, plugins.LOGS, plugins.PUBLISHERS, plugins.ALERTERS)
        (metadata / "entry_points.txt").write_text("".join(f"[{group}]\n{lines}" for group in groups))
        (metadata.parent / "acme.py").write_text(ACME)
        monkeypatch.syspath_prepend(metadata.parent)
        monkeypatch.delitem(sys.modules, "acme", raising=False)

    return install


@pytest.mark.parametrize("port", ["records", "log", "publisher"])
async def test_a_plugin_is_opened_with_its_whole_url_and_closed_at_the_end(install: Install, port: str) -> None:
    install(acme="acme:of_ours")
    async with Adapters() as adapters:
        made: Any = await getattr(adapters, port)("acme://user:secret@host/path?colour=red")
        assert made.url == "acme://user:secret@host/path?colour=red"
        assert made.is_open
    assert not made.is_open


async def test_a_plugin_cannot_replace_a_built_in_scheme(install: Install, tmp_path: Path) -> None:
    install(file="acme:of_ours")
    (tmp_path / "games.json").write_text("[]")
    assert isinstance(await Adapters().records(f"file:{tmp_path / 'games.json'}"), FileRecords)


@pytest.mark.parametrize("option", ["--records", "--log", "--publish", "--alert"])
def test_an_unknown_scheme_is_refused_with_the_known_schemes(
    install: Install, command_line: CommandLine, option: str
) -> None:
    install(acme="acme:of_ours", beta="acme:of_ours", file="acme:of_ours")
    told = command_line("run", "--publish", "stdout:", option, "gamma://user:secret@host")
    assert (told.code, len(told.err)) == (2, 1)
    assert f"{option} gamma:…: not a known URL; use " in told.err[0]
    assert "acme: or beta:" in told.err[0]
    assert told.err[0].count(" file:") == 1


@pytest.mark.proves("url-unknown-part")
@pytest.mark.parametrize("url", ["slack://TokenA/TokenB/TokenC", "nats:user:TokenA@bus", "TokenA://host"])
def test_an_unknown_url_is_not_shown_because_it_may_be_a_secret(command_line: CommandLine, url: str) -> None:
    told = command_line("run", "--publish", url)
    assert (told.code, len(told.err)) == (2, 1)
    assert "Token" not in told.err[0].replace("TokenA:…", "")


def test_publish_to_an_apprise_url_points_to_notify(command_line: CommandLine) -> None:
    assert "are for --notify" in command_line("run", "--publish", "slack://TokenA/TokenB").err[0]


@pytest.mark.parametrize("function", ["acme:no_such_function", "no_such_module:of_ours"])
def test_a_package_that_cannot_be_loaded_is_named_in_one_line(
    install: Install, command_line: CommandLine, function: str
) -> None:
    install(acme=function)
    told = command_line("events", "--log", "acme:somewhere")
    assert (told.code, told.out, len(told.err)) == (2, [], 1)
    assert "acme: comes with acme-adapters, which cannot be loaded" in told.err[0]
    assert "no_such" in told.err[0]


@pytest.mark.parametrize(("function", "cause"), [("acme:broken", "ZeroDivisionError"), ("acme:no_context", "Acme")])
def test_a_bug_in_a_plugin_is_not_reported_as_a_bug_in_healthprobe(
    install: Install, command_line: CommandLine, function: str, cause: str
) -> None:
    install(acme=function)
    told = command_line("events", "--log", "acme://user:secret@host")
    assert (told.code, told.out, len(told.err)) == (2, [], 1)
    assert "acme://***@host: the plugin for acme: cannot open it" in told.err[0]
    assert cause in told.err[0]
    assert "secret" not in told.err[0]


async def test_the_error_of_a_plugin_that_is_away_is_passed_on(install: Install) -> None:
    install(acme="acme:away")
    with pytest.raises(StoreError, match="acme is away for now") as told:
        await Adapters().records("acme:somewhere")
    assert not told.value.permanent
