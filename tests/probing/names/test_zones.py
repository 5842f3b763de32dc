"""Link-local addresses: the zone says which link, and is part of nothing that an engine sees."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.probing.names.link_engine import ADDRESS, GREETER, GRPC, HTTP, HTTPS, READY
from tests.probing.names.own_machine import ip, run_on_own_machine, skip_without

from healthprobe.domain.endpoint import parse_endpoint
from healthprobe.domain.networks import Networks
from healthprobe.domain.outcome import HEALTHY, Failed
from healthprobe.domain.probe.probe_parsing import settings_from
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.answers.redirect import RedirectRefused, redirected_path
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.prober import ProberByKind


@contextmanager
def engine_behind(link: str, state: str, folder: Path) -> Iterator[None]:
    """An engine at ADDRESS on a link of its own, whose near end on this machine is called `link`."""
    command = [sys.executable, "-m", "tests.probing.names.link_engine", state, str(folder)]
    started = ["unshare", "--net", "sh", "-c", 'read _ && ip link set lo up && exec "$@"', "sh", *command]
    process = subprocess.Popen(started, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        while Path(f"/proc/{process.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
            pass
        ip(f"link add {link} type veth peer name far-{link} netns {process.pid}")
        ip(f"link set {link} up")
        ip(f"address add fe80::a/64 dev {link} nodad")
        inside = f"nsenter --target {process.pid} --net ip".split()
        subprocess.run([*inside, "link", "set", f"far-{link}", "up"], check=True)
        subprocess.run([*inside, *f"address add {ADDRESS}/64 dev far-{link} nodad".split()], check=True)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline().strip() == READY
        yield
    finally:
        process.kill()
        process.communicate()


async def probe_both_links() -> dict[str, str]:
    """The outcome of each kind at the same address in several zones: `wa` has a healthy engine, `wb` a failing one."""
    found = {}
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        stack.enter_context(engine_behind("wa", "healthy", folders[0]))
        stack.enter_context(engine_behind("wb", "failing", folders[1]))
        ca = {"wb": str(folders[1] / "ca.pem")}
        prober = ProberByKind(HTTPProber())
        for zone in ("wa", "wb", "2", "nosuch", "999", ""):
            address = f"[{ADDRESS}%25{zone}]" if zone else f"[{ADDRESS}]"
            tls = {"ca": ca.get(zone, str(folders[0] / "ca.pem"))}
            asked: list[tuple[str, str, dict[str, Any]]] = [
                ("http", f"http://{address}:{HTTP}", {}),
                ("redirect", f"http://{address}:{HTTP}/moved", {}),
                ("https", f"https://{address}:{HTTPS}", {"tls": tls}),
                ("tcp", f"http://{address}:{GREETER}", {"kind": "tcp", "expect": {"body_contains": "healthy"}}),
                ("grpc", f"http://{address}:{GRPC}", {"kind": "grpc"}),
            ]
            for kind, endpoint, settings in asked:
                target = ProbeTarget("game-7", parse_endpoint(endpoint), 3.0, settings_from(settings))
                outcome = await prober.probe(target)
                told = outcome.last_error if isinstance(outcome, Failed) else str(outcome)
                found[f"{kind} {zone}"] = "healthy" if outcome is HEALTHY else told
        found["default executor"] = str(getattr(asyncio.get_running_loop(), "_default_executor", None))
        await prober.aclose()
    return found


@pytest.mark.proves("ipv6-zone")
@pytest.mark.parametrize("loop", ["uvloop", pytest.param("asyncio", marks=pytest.mark.slow)])
def test_the_engine_on_the_link_that_the_zone_names_is_probed_and_no_other(loop: str) -> None:
    skip_without("ip", "nsenter")
    found = run_on_own_machine(probe_both_links, loop=loop)
    for kind in ("http", "redirect", "https", "tcp", "grpc"):
        assert found[f"{kind} wa"] == "healthy", kind
        assert found[f"{kind} nosuch"] == "the zone nosuch of fe80::b is no interface of the prober's machine"
        assert found[f"{kind} 999"] == "the zone 999 of fe80::b is no interface of the prober's machine"
        assert found[f"{kind} "] == "fe80::b is on each link: add the interface, as in http://[fe80::b%25eth0]"
    assert [found[f"{kind} wb"] for kind in ("http", "redirect", "https")] == ["unexpected status 503"] * 3
    assert found["tcp wb"] == "connection closed before “healthy”"
    assert found["grpc wb"] == "grpc: not serving"
    assert {found[f"{kind} 2"] for kind in ("http", "tcp", "grpc")} == {"healthy"}, "the number of the first link"
    assert found["default executor"] == "None"


@pytest.mark.parametrize("location", ["http://[fe80::b]:8080/ready", "http://[fe80::b%25eth9]:8080/ready", "/ready"])
def test_a_redirect_to_the_same_address_stays_on_the_link(location: str) -> None:
    endpoint = parse_endpoint("http://[fe80::b%25eth0]:8080")
    assert redirected_path(endpoint, "/healthz", location) == "/ready"
    with pytest.raises(RedirectRefused):
        redirected_path(endpoint, "/healthz", "http://[fe80::c]:8080/ready")


def test_a_network_includes_its_addresses_in_every_zone() -> None:
    assert Networks.parse(deny=["fe80::/10"]).refusal("fe80::b%eth0") is not None
    assert Networks.parse(allow=["fe80::/10"]).refusal("fe80::b%eth0") is None
