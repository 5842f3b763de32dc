"""A prober in a process with restricted limits. Prints how many probes ended with each outcome."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import json
import resource
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path

import uvloop

from healthprobe.domain.endpoint import parse_endpoint
from healthprobe.domain.outcome import Failed, Inconclusive, ProbeOutcome
from healthprobe.domain.probe.probe_parsing import settings_from
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import ProbeTarget, parse_target
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.prober import ProberByKind

CANNOT_NARROW = 77
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
FOUR_PORTS = "40000 40003"
ONE_PORT = "40000 40000"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def targets_at(url: str, count: int) -> list[ProbeTarget]:
    return [parse_target(RuntimeRecord(f"game-{number}", "", url), timeout=5.0) for number in range(count)]


def name_of(outcome: ProbeOutcome) -> str:
    match outcome:
        case Failed(_, cause):
            return f"Failed: {cause}"
        case Inconclusive(cause):
            return f"Inconclusive: {cause}"
    return "Healthy"


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def limit_descriptors(limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def enter_a_network_of_our_own(*, with_loopback: bool, ports: str = FOUR_PORTS) -> None:
    """Enters an empty network namespace, in which loopback has these local ports or is down."""
    if ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        sys.exit(CANNOT_NARROW)
    if not with_loopback:
        return
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
    try:
        Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(ports)
    except OSError:
        sys.exit(CANNOT_NARROW)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(OK)


async def probe_at_once(prober: HTTPProber, targets: list[ProbeTarget]) -> Counter[str]:
    return Counter(map(name_of, await asyncio.gather(*map(prober.probe, targets))))


async def descriptors(url: str) -> Counter[str]:
    """Sixty probes at once with a budget larger than the process's limit."""
    async with HTTPProber(descriptor_budget=1000) as prober:
        limit_descriptors(30)
        return await probe_at_once(prober, targets_at(url, 60))


async def budget(url: str) -> Counter[str]:
    """Two hundred probes at once, twice, with 64 descriptors."""
    limit_descriptors(64)
    async with HTTPProber() as prober:
        targets = targets_at(url, 200)
        return await probe_at_once(prober, targets) + await probe_at_once(prober, targets)


async def twenty(url: str) -> Counter[str]:
    """Sixty probes at once, three times, with a budget of twenty; counts the descriptors in use."""
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, open_descriptors())
            await asyncio.sleep(0)

    async with HTTPProber(descriptor_budget=20) as prober:
        targets = targets_at(url, 60)
        counts = await probe_at_once(prober, targets)
        for target in targets:
            prober.forget(target)
        await asyncio.sleep(0.01)
        before = open_descriptors()
        watching = asyncio.create_task(watch())
        counts += await probe_at_once(prober, targets)
        counts += await probe_at_once(prober, targets)
        watching.cancel()
    return counts + Counter({"most descriptors": most - before})


async def ports() -> Counter[str]:
    """Twenty probes at once with four local ports."""
    enter_a_network_of_our_own(with_loopback=True)
    server = await asyncio.start_server(answer, "127.0.0.1", 50000)
    async with HTTPProber() as prober:
        counts = await probe_at_once(prober, targets_at("http://127.0.0.1:50000", 20))
    server.close()
    return counts


async def route() -> Counter[str]:
    """Twenty probes at once without a network."""
    enter_a_network_of_our_own(with_loopback=False)
    async with HTTPProber() as prober:
        return await probe_at_once(prober, targets_at("http://127.0.0.1:50000", 20))


async def itself(host: str, kind: str, scheme: str) -> Counter[str]:
    """A probe of a port without a listener, which the kernel connects to itself. Is its port free then?"""
    enter_a_network_of_our_own(with_loopback=True, ports=ONE_PORT)
    endpoint = parse_endpoint(f"{scheme}://{host}:40000")
    prober = ProberByKind(HTTPProber())
    counts = Counter([name_of(await prober.probe(ProbeTarget("game-7", endpoint, 5.0, settings_from({"kind": kind}))))])
    await prober.aclose()
    await asyncio.sleep(0.01)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as engine, suppress(OSError):
        engine.bind((host.strip("[]"), 40000))
        counts["the engine can listen again"] = 1
    return counts


SCENES: dict[str, Callable[..., Coroutine[None, None, Counter[str]]]] = {
    "descriptors": descriptors,
    "budget": budget,
    "twenty": twenty,
    "ports": ports,
    "route": route,
    "itself": itself,
}

if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if sys.argv[1] == "uvloop" else None) as runner:
        counted = runner.run(SCENES[sys.argv[2]](*sys.argv[3:]))
    sys.stdout.write(json.dumps(counted))
