"""Names, resolved as the system's getaddrinfo resolves them: on a machine whose files are the test's."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import threading
import time
from collections.abc import Mapping

import pytest
from tests.probing.names.name_server import NO_SUCH_NAME, NameServer
from tests.probing.names.own_machine import ip, run_on_own_machine, write_file
from tests.probing.peers import OK, Peer, answering
from tests.probing.probes import target_at

from healthprobe.domain.outcome import HEALTHY, Failed
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.resolver import CachingResolver, UnresolvableName
from healthprobe.probing.system_names import Service, choose_service, parse_hosts, parse_services

HOSTS = """\
127.0.0.1 localhost
127.0.0.2 game-1 all-games
127.0.0.3\tgame-2 all-games  # the second
::1 six.test all-games
127.0.0.4 dotted.test.
127.0.0.5 UPPER.test
#127.0.0.6 commented.test
127.1 not-an-address.test
999.0.0.1 not-an-address.test
127.0.0.7 twice.test
127.0.0.7 twice.test
fe80::1%lo zone.test
127.0.0.8 both.test
"""
NAME_SERVER = "127.0.0.53"
RESOLV = f"nameserver {NAME_SERVER}\nsearch eu.games.test games.test\noptions ndots:2 timeout:1 attempts:3\n"
FILES = {
    "/etc/hosts": HOSTS,
    "/etc/resolv.conf": RESOLV,
    "/etc/nsswitch.conf": "hosts: files dns\n",
    "/etc/gai.conf": "",
}
NAMES = (
    "localhost", "game-1", "game-2", "all-games", "six.test", "dotted.test", "dotted.test.", "upper.test", "both.test",
    "commented.test", "not-an-address.test", "twice.test", "zone.test", "searched", "searched.eu", "short.games.test",
    "absolute.", "dual.example", "dual.example.", "nowhere.example", "printer.local",
)  # fmt: skip
RECORDS: Mapping[str, str | tuple[str, ...]] = {
    "both.test": "127.0.0.9",
    "searched.games.test": "127.0.1.1",
    "searched.eu.games.test": "127.0.1.2",
    "short.games.test": "127.0.1.3",
    "absolute": "127.0.1.4",
    "dual.example": ("127.0.1.5", "::1", "2001:db8::1"),
    "printer.local": "127.0.1.6",
}


def name_server() -> NameServer:
    """A name server at the address that the machine's resolv.conf has, which knows RECORDS and no other name."""
    server = NameServer(NAME_SERVER, 53)
    server.errors = _Every(NO_SUCH_NAME)
    server.addresses.update(RECORDS)
    return server


class _Every(dict[str, int]):
    def __init__(self, error: int) -> None:
        self._error = error

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> int:
        return self._error


async def ours_and_the_systems() -> list[list[object]]:
    """The addresses of each of NAMES: those of the resolver, and those of getaddrinfo in a process of its own."""
    resolver = CachingResolver()
    found: list[list[object]] = []
    with name_server():
        for name in NAMES:
            try:
                ours = await resolver.addresses(name)
            except UnresolvableName:
                ours = ()
            found.append([name, ours, await asyncio.to_thread(_system_addresses, name)])
    await resolver.aclose()
    return found


def _system_addresses(name: str) -> list[str]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return []
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@pytest.mark.parametrize(
    "services",
    [
        "files dns",
        pytest.param("files mdns4_minimal [NOTFOUND=return] dns", marks=pytest.mark.slow),
        "files",
        "dns files",
        pytest.param("files dns [NOTFOUND=continue] files", marks=pytest.mark.slow),
    ],
)
@pytest.mark.proves("names-as-the-system")
def test_names_resolve_as_getaddrinfo_resolves_them(services: str) -> None:
    files = {**FILES, "/etc/nsswitch.conf": f"hosts: {services}\n"}
    for name, ours, systems in run_on_own_machine(ours_and_the_systems, files):
        assert ours == systems, name


def test_an_order_of_preference_that_the_machine_sets_is_kept() -> None:
    prefer_ipv4 = {**FILES, "/etc/gai.conf": "precedence ::ffff:0:0/96  100\n"}
    found = {name: (ours, systems) for name, ours, systems in run_on_own_machine(ours_and_the_systems, prefer_ipv4)}
    ours, systems = found["all-games"]
    assert ours == systems
    assert ours[0].startswith("127.")
    ours, systems = found["dual.example"]
    assert ours == systems


async def probe_both_games() -> list[str]:
    async with Peer(answering(OK), "127.0.0.3", 8080), HTTPProber() as prober:
        outcomes = [await prober.probe(target_at(f"http://game-{number}:8080")) for number in (1, 2)]
    return ["healthy" if outcome is HEALTHY else getattr(outcome, "last_error", "") for outcome in outcomes]


@pytest.mark.proves("hosts-file-lines")
def test_a_dead_engine_is_not_answered_by_another_that_shares_an_alias_in_the_hosts_file() -> None:
    assert run_on_own_machine(probe_both_games, FILES) == ["connection refused", "healthy"]


async def change_the_hosts_file() -> list[list[str]]:
    resolver = CachingResolver()
    found = [list(await resolver.addresses(name)) for name in ("game-1", "all-games")]
    write_file("/etc/hosts", "127.0.0.22 game-1 all-games\n127.0.0.33 all-games\n")
    await asyncio.sleep(1.1)
    found += [list(await resolver.addresses(name)) for name in ("game-1", "all-games")]
    await resolver.aclose()
    return found


@pytest.mark.proves("hosts-file-changes")
def test_a_change_of_the_hosts_file_is_seen_within_a_second() -> None:
    before, after = {**FILES, "/etc/hosts": HOSTS.replace("::1 six.test all-games\n", "")}, [["127.0.0.22"]]
    found = run_on_own_machine(change_the_hosts_file, before)
    assert found[:1] == [["127.0.0.2"]]
    assert sorted(found[1]) == ["127.0.0.2", "127.0.0.3"]
    assert found[2:3] == after
    assert sorted(found[3]) == ["127.0.0.22", "127.0.0.33"]


async def change_the_name_server() -> list[list[str]]:
    resolver = CachingResolver()
    found = []
    with name_server() as first, NameServer("127.0.0.54", 53) as second:
        first.addresses["moved.example"] = "127.0.0.61"
        second.addresses["moved.example"] = "127.0.0.62"
        found.append(list(await resolver.addresses("moved.example")))
        write_file("/etc/resolv.conf", "nameserver 127.0.0.54\n")
        await asyncio.sleep(1.1)
        await resolver.addresses("game-1")  # sees the change, which c-ares reads in a thread
        await asyncio.sleep(0.3)
        found.append(list(await resolver.addresses("moved.example")))
    await resolver.aclose()
    return found


def test_a_change_of_the_name_servers_is_seen_within_seconds() -> None:
    assert run_on_own_machine(change_the_name_server, FILES) == [["127.0.0.61"], ["127.0.0.62"]]


async def name_that_moves() -> list[object]:
    resolver = CachingResolver()
    found: list[object] = []
    with name_server() as server:
        server.ttl = 2
        for address, pause in (("127.0.0.71", 1.0), ("127.0.0.72", 2.2), ("127.0.0.72", 0.0)):
            server.addresses["moved.example"] = address
            found += await resolver.addresses("moved.example")
            await asyncio.sleep(pause)
        found.append(server.asked.count("moved.example"))
    await resolver.aclose()
    return found


@pytest.mark.proves("name-ttl")
def test_an_answer_holds_for_its_ttl_and_no_longer() -> None:
    assert run_on_own_machine(name_that_moves, FILES) == ["127.0.0.71", "127.0.0.71", "127.0.0.72", 2]


async def names_without_descriptors() -> list[str]:
    """Probes of names while this process can open no file and no socket: at first, and after it could."""
    outcomes = []
    for warm in (False, True):
        with name_server():
            async with HTTPProber() as prober:
                if warm:
                    await prober.probe(target_at("http://game-2:8080"))
                limits = resource.getrlimit(resource.RLIMIT_NOFILE)
                resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
                try:
                    targets = [target_at(f"http://{name}:8080", 2.0) for name in ("dual.example", "all-games", "none")]
                    outcomes += [str(await prober.probe(target)) for target in targets]
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    return outcomes


@pytest.mark.proves("names-without-descriptors")
@pytest.mark.parametrize("services", ["files dns", "dns files"])
def test_no_engine_is_blamed_for_a_name_that_we_have_no_descriptor_to_look_up(services: str) -> None:
    files = {**FILES, "/etc/nsswitch.conf": f"hosts: {services}\n"}
    outcomes = run_on_own_machine(names_without_descriptors, files)
    assert len(outcomes) == 6
    for outcome in outcomes:
        assert outcome.startswith("Inconclusive"), outcomes
        assert "out of file descriptors" in outcome


async def name_servers_out_of_reach() -> list[str]:
    async with HTTPProber() as prober:
        first = await prober.probe(target_at("http://game-7.example:8080", 3.0))
        ip("route add 192.0.2.0/24 dev lo")
        second = await prober.probe(target_at("http://game-7.example:8080", 0.3))
    return [str(first), type(second).__name__]


@pytest.mark.proves("name-servers-no-route")
def test_no_engine_is_blamed_where_we_have_no_route_to_any_name_server() -> None:
    files = {**FILES, "/etc/resolv.conf": "nameserver 192.0.2.1\nnameserver 2001:db8::1\n"}
    first, second = run_on_own_machine(name_servers_out_of_reach, files)
    assert "no route to its name servers" in first
    assert first.startswith("Inconclusive")
    assert second == "Failed", "a name server that does not answer is told as before"


async def name_that_appears() -> list[str]:
    resolver = CachingResolver()
    outcomes: list[str] = []
    with name_server() as server:
        server.negative_ttl = 3600
        for _ in range(2):
            try:
                outcomes += await resolver.addresses("new.example")
            except UnresolvableName as error:
                outcomes.append(str(error))
            if not server.addresses.get("new.example"):
                server.addresses["new.example"] = "127.0.0.77"
                await asyncio.sleep(1.1)
    await resolver.aclose()
    return outcomes


@pytest.mark.proves("name-that-appears")
def test_a_name_that_did_not_exist_is_found_once_it_does_whatever_time_its_absence_may_be_remembered() -> None:
    assert run_on_own_machine(name_that_appears, FILES) == [
        "cannot resolve the name new.example: no such name",
        "127.0.0.77",
    ]


async def slow_system_look_ups() -> dict[str, object]:
    """Names that the system resolves, of which three hundred have a name server that never answers."""
    loop = asyncio.get_running_loop()
    with name_server() as server:
        server.errors = {}
        async with Peer(answering(OK), "127.0.1.5", 8080), HTTPProber() as prober:
            dead = [target_at(f"http://dead-{number}.example.:8080", 0.5) for number in range(300)]
            under_way = asyncio.gather(*map(prober.probe, dead))
            await asyncio.sleep(0.1)
            begun = time.monotonic()
            outcome = await prober.probe(target_at("http://dual.example.:8080"))
            seconds = time.monotonic() - begun
            failed = sum(isinstance(each, Failed) for each in await under_way)
            default_executor = getattr(loop, "_default_executor", None)
            begun = time.monotonic()
    return {
        "healthy": outcome is HEALTHY,
        "seconds": seconds,
        "failed": failed,
        "default executor": default_executor is not None,
        "closing": time.monotonic() - begun,
        "daemons": all(each.daemon for each in threading.enumerate() if each is not threading.main_thread()),
    }


@pytest.mark.proves("slow-name-server")
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_slow_look_ups_of_the_system_delay_no_other_and_no_stop(loop: str) -> None:
    patient = RESOLV.replace("timeout:1", "timeout:30")
    files = {**FILES, "/etc/nsswitch.conf": "hosts: files [NOTFOUND=continue] dns\n", "/etc/resolv.conf": patient}
    begun = time.monotonic()
    found = run_on_own_machine(slow_system_look_ups, files, loop=loop)
    assert found["healthy"]
    assert found["seconds"] < 0.3
    assert found["failed"] == 300
    assert not found["default executor"]
    assert found["daemons"]
    assert found["closing"] < 0.5
    assert time.monotonic() - begun < 20, "the process ends while look-ups are under way"


def test_a_name_has_the_address_of_its_line_or_none_where_it_has_several() -> None:
    found = parse_hosts(HOSTS)
    assert found["game-1"] == "127.0.0.2"
    assert found["all-games"] is None
    assert found["twice.test"] == "127.0.0.7"
    assert found["upper.test"] == "127.0.0.5"
    assert not {"commented.test", "not-an-address.test", "zone.test", "#"} & set(found)


@pytest.mark.parametrize(
    ("line", "name", "service"),
    [
        ("hosts: files dns", "game-7", Service.DNS),
        ("", "game-7", Service.DNS),
        ("hosts:files dns myhostname # as Debian has it", "game-7", Service.DNS_THEN_SYSTEM),
        ("hosts: files mdns4_minimal [NOTFOUND=return] dns", "game-7.example", Service.DNS),
        ("hosts: files mdns4_minimal [NOTFOUND=return] dns", "game-7.local.", Service.SYSTEM),
        ("hosts: files resolve [!UNAVAIL=return] dns", "game-7", Service.SYSTEM),
        ("hosts: files myhostname dns", "game-7", Service.SYSTEM),
        ("hosts: dns files", "game-7", Service.SYSTEM),
        ("hosts: files [SUCCESS=merge] dns", "game-7", Service.SYSTEM),
        ("hosts: files", "game-7", Service.SYSTEM),
        ("hosts:", "game-7", Service.SYSTEM),
    ],
)
def test_the_name_servers_are_asked_at_once_only_where_they_come_next(line: str, name: str, service: Service) -> None:
    assert choose_service(parse_services(f"passwd: files\n{line}\n"), name) is service


async def ten_thousand_names() -> dict[str, float]:
    resolver = CachingResolver()
    names = [f"game-{number}.example" for number in range(10_000)]
    seconds = {}
    with name_server() as server:
        server.ttl = 60
        server.addresses.update({name: f"127.1.{at // 250}.{at % 250 + 1}" for at, name in enumerate(names)})
        for what in ("from the name server", "again"):
            begun, cpu = time.monotonic(), time.process_time()
            for start in range(0, len(names), 100):
                await asyncio.gather(*map(resolver.addresses, names[start : start + 100]))
            seconds[what] = time.monotonic() - begun
            seconds[f"{what}, CPU"] = time.process_time() - cpu
    write_file("/etc/hosts", "".join(f"127.2.{at // 250}.{at % 250 + 1} {name}\n" for at, name in enumerate(names)))
    await asyncio.sleep(1.1)
    begun = time.monotonic()
    for name in names:
        await resolver.addresses(name)
    seconds["from the hosts file"] = time.monotonic() - begun
    assert await resolver.addresses(names[0]) == ("127.2.0.1",)
    await resolver.aclose()
    return seconds


@pytest.mark.slow
def test_ten_thousand_names_resolve_in_seconds_and_again_at_once() -> None:
    patient = {**FILES, "/etc/resolv.conf": f"nameserver {NAME_SERVER}\n"}
    seconds = run_on_own_machine(ten_thousand_names, patient)
    logging.getLogger(__name__).info("ten thousand names: %s", seconds)
    assert seconds["from the name server"] < 30
    assert seconds["again"] < 1
    assert seconds["from the hosts file"] < 1
