"""Probes addresses behind routes of every type: `unshare -rn python routes_child.py LOOP`, in a network of its own.

Prints what each kind of probe found at each address, as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import uvloop

from healthprobe.domain.outcome import Failed, Inconclusive, ProbeOutcome
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import parse_target
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.prober import ProberByKind

CANNOT = 77
NEIGHBOURS = Path("/proc/sys/net/ipv4/neigh/near")
NO_IPV6 = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")

ROUTES = """
    link set lo up
    link add near type veth peer name far
    address add 10.9.0.1/24 broadcast 10.9.0.255 dev near
    address add fd09::1/64 dev near nodad
    link set near up
    link set far up
    route add prohibit 10.1.0.0/24
    route add unreachable 10.2.0.0/24
    route add blackhole 10.3.0.0/24
    route add throw 10.4.0.0/24
    -6 route add prohibit fd01::/64
    -6 route add unreachable fd02::/64
    -6 route add blackhole fd03::/64
    -6 route add throw fd04::/64
"""
ADDRESSES = {
    "prohibit": "10.1.0.1", "unreachable": "10.2.0.1", "blackhole": "10.3.0.1", "throw": "10.4.0.1",
    "no route": "10.5.0.1", "broadcast": "10.9.0.255", "limited broadcast": "255.255.255.255",
    "multicast": "224.0.0.1", "prohibit, IPv6": "[fd01::1]", "unreachable, IPv6": "[fd02::1]",
    "blackhole, IPv6": "[fd03::1]", "throw, IPv6": "[fd04::1]", "multicast, IPv6": "[ff05::1]",
    "link-local without a link": "[fe80::1]", "no such neighbour": "10.9.0.7", "refused": "127.0.0.1",
}  # fmt: skip
KINDS = {"http": {}, "tls": {"kind": "tcp", "tls": {}}, "tcp": {"kind": "tcp"}, "grpc": {"kind": "grpc"}}


def name_of(outcome: ProbeOutcome) -> str:
    match outcome:
        case Failed(last_error=cause):
            return f"failed: {cause}"
        case Inconclusive(cause, no_route=no_route):
            return f"{'no route' if no_route else 'inconclusive'}: {cause}"
    return "healthy"


async def ask(prober: ProberByKind, kind: str, address: str) -> str:
    record = RuntimeRecord("game-7", "", f"http://{address}:8080", probe=json.dumps(KINDS[kind]))
    return name_of(await prober.probe(parse_target(record, 2.0)))


async def found() -> dict[str, dict[str, str]]:
    prober = ProberByKind(HTTPProber())
    kinds = {"http": ADDRESSES, "tcp": ADDRESSES, "tls": ADDRESSES, "grpc": ADDRESSES}
    outcomes: dict[str, dict[str, str]] = {}
    for kind, addresses in kinds.items():
        answers = await asyncio.gather(*(ask(prober, kind, address) for address in addresses.values()))
        outcomes[kind] = dict(zip(addresses, answers, strict=True))
    NO_IPV6.write_text("1")  # noqa: ASYNC240  a file of the kernel
    for kind in KINDS:
        outcomes[kind]["IPv6 switched off"] = await ask(prober, kind, "[fd09::7]")
    await prober.aclose()
    return outcomes


def main() -> None:
    ip = shutil.which("ip")
    if ip is None:
        sys.exit(CANNOT)
    try:
        for words in ROUTES.strip().splitlines():
            subprocess.run([ip, *words.split()], check=True, capture_output=True)
        (NEIGHBOURS / "mcast_solicit").write_text("1")
        (NEIGHBOURS / "retrans_time_ms").write_text("50")
    except (subprocess.CalledProcessError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(CANNOT)
    run = uvloop.run if sys.argv[1] == "uvloop" else asyncio.run
    sys.stdout.write(json.dumps(run(found())))


if __name__ == "__main__":
    main()
