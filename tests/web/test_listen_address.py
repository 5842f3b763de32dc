"""Where a run listens: an address, every address of a name, every address of the machine, or a unix socket."""

from __future__ import annotations

import asyncio
import socket
import stat
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop
from starlette.types import ASGIApp
from tests.servers.ports import free_port
from tests.support.waiting import PATIENCE
from tests.telemetry.metrics.monitored_worker import MonitoredWorker
from tests.web.client import app_of, raw

from healthprobe.domain.outcome import HEALTHY
from healthprobe.ports import ConfigurationError
from healthprobe.web import listeners
from healthprobe.web.listen_address import ListenAddress, parse_listen_address
from healthprobe.web.server import serving

TOKEN = "long and random"
HEALTHZ = "GET /healthz HTTP/1.0\r\n"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def parsed(text: str) -> ListenAddress:
    address = parse_listen_address(text)
    assert address is not None
    return address


def app() -> ASGIApp:
    return app_of(MonitoredWorker({"a": HEALTHY}), token=TOKEN)


async def answers(host: str, port: int) -> bool:
    try:
        return (await raw(port, HEALTHZ, host=host)).startswith(b"HTTP/1.1 200 ")
    except ConnectionRefusedError:
        return False


@pytest.mark.parametrize(
    "text", ["", "8600", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "[]:8600", "unix:", "unix://"]
)
def test_an_invalid_listen_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write one such as 127\.0\.0\.1:8600"):
        parse_listen_address(text)


def test_a_listen_address_is_parsed_and_formatted_back() -> None:
    assert parse_listen_address("off") is None
    for text in ("127.0.0.1:8600", "[::1]:0", "prober.example:80", ":8600", "[::]:8600", "unix:/run/hp.sock"):
        assert str(parsed(text)) == text
    assert parsed("unix:///run/hp.sock") == parsed("unix:/run/hp.sock") == ListenAddress("", 0, "/run/hp.sock")
    assert parsed(":8600").url == "http://[::]:8600/"


@needs_ipv6
@pytest.mark.parametrize("text", ["localhost:0", "LOCALHOST:0", ":0", "[::]:0"])
async def test_a_name_with_addresses_of_both_families_listens_on_both_at_one_port(text: str) -> None:
    async with serving(app(), parsed(text)) as url:
        port = httpx.URL(url).port or 0
        assert await answers("127.0.0.1", port)
        assert await answers("::1", port)
    assert not await answers("127.0.0.1", port)
    assert not await answers("::1", port)


@needs_ipv6
async def test_one_family_alone_leaves_the_other_to_others() -> None:
    port = free_port()
    async with serving(app(), ListenAddress("127.0.0.1", port)), serving(app(), ListenAddress("::1", port)) as url:
        assert url == f"http://[::1]:{port}/"
        assert await answers("::1", port)
    async with serving(app(), ListenAddress("0.0.0.0", 0)) as url:
        assert await answers("127.0.0.1", httpx.URL(url).port or 0)
        assert not await answers("::1", httpx.URL(url).port or 0)


@needs_ipv6
async def test_a_port_that_is_taken_in_one_family_is_refused() -> None:
    with socket.socket(socket.AF_INET6) as taken:
        taken.bind(("::1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"--listen localhost:{port}: address already in use; choose"):
            async with serving(app(), ListenAddress("localhost", port)):
                pass
    assert not await answers("127.0.0.1", port)


async def test_an_address_of_the_name_that_this_machine_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where IPv6 is switched off, or where a name has an address of another machine as well."""
    monkeypatch.setitem(listeners._ADDRESSES, "localhost", ("192.0.2.7", "2001:db8::7", "127.0.0.1"))
    async with serving(app(), ListenAddress("localhost", 0)) as url:
        assert await answers("127.0.0.1", httpx.URL(url).port or 0)
    monkeypatch.setitem(listeners._ADDRESSES, "localhost", ("192.0.2.7", "2001:db8::7"))
    with pytest.raises(ConfigurationError, match=r"--listen localhost:0: cannot assign requested address; choose"):
        async with serving(app(), ListenAddress("localhost", 0)):
            pass


@pytest.mark.parametrize("host", ["a..b", "no-such-name.invalid"])
async def test_a_name_without_an_address_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"--listen {host}:8600: .*; choose another"):
        async with serving(app(), ListenAddress(host, 8600)):
            pass


async def get_at(path: Path, request: str) -> bytes:
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(f"{request}Connection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
    return answer


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def at_unix_socket(path: Path) -> None:
    monitored = MonitoredWorker({"a": HEALTHY})
    async with serving(app_of(monitored), parsed(f"unix:{path}")) as url:
        assert url == f"unix:{path}"
        assert mode_of(path) == 0o660
        for request in (HEALTHZ, "GET /api/fleet HTTP/1.1\r\nHost: prober.example\r\n", "GET / HTTP/1.0\r\n"):
            assert (await get_at(path, request)).startswith(b"HTTP/1.1 200 ")
    async with serving(app(), parsed(f"unix:{path}")):
        assert (await get_at(path, "GET /api/fleet HTTP/1.0\r\n")).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_unix_socket_is_served_to_its_owner_and_group(
    tmp_path: Path, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    path = tmp_path / "hp.sock"
    run(at_unix_socket(path))
    assert not path.exists()


async def test_a_socket_that_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "hp.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with serving(app(), parsed(f"unix:{path}")):
        assert (await get_at(path, HEALTHZ)).startswith(b"HTTP/1.1 200 ")


async def test_a_socket_that_is_served_and_a_file_are_left_alone(tmp_path: Path) -> None:
    path, file = tmp_path / "hp.sock", tmp_path / "notes"
    file.write_text("mine")
    async with serving(app(), parsed(f"unix:{path}")):
        for taken in (path, file):
            with pytest.raises(ConfigurationError, match=f"--listen unix:{taken}: address already in use; choose"):
                async with serving(app(), parsed(f"unix:{taken}")):
                    pass
        assert (await get_at(path, HEALTHZ)).startswith(b"HTTP/1.1 200 ")
    assert file.read_text() == "mine"


@pytest.mark.parametrize("path", ["no/such/folder/hp.sock", "x" * 200])
async def test_a_path_that_cannot_hold_a_socket_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--listen unix:.*; choose another"):
        async with serving(app(), parsed(f"unix:{tmp_path / path}")):
            pass
