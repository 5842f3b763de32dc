"""The system's own ways to resolve a name: its hosts file, the order that nsswitch.conf gives, and getaddrinfo."""

from __future__ import annotations

import asyncio
import re
import socket
from collections import deque
from collections.abc import Mapping
from enum import Enum
from ipaddress import ip_address
from pathlib import Path

from healthprobe._util.threads import run_in_daemon_thread

HOSTS = Path("/etc/hosts")
NSSWITCH = Path("/etc/nsswitch.conf")
GAI = Path("/etc/gai.conf")

_CHECK_INTERVAL = 1.0
"""How often to see whether one of the files has changed, in seconds."""

_MAX_THREADS = 128
_MAX_THREADS_OF_SLOW_NAMES = _MAX_THREADS // 2
_SLOW = 1.0
"""After how many seconds a look-up was slow: that name's next one may take no more than half of the threads."""

_MAX_SLOW_NAMES = 50_000
_MDNS_SERVICE = re.compile(r"mdns[46]?_minimal")
"""The services that know names below .local only, and pass on all others."""


class Service(Enum):
    """Who resolves the names that the hosts file does not have."""

    SYSTEM = "getaddrinfo"
    DNS = "the name servers"
    DNS_THEN_SYSTEM = "the name servers, and getaddrinfo for what they do not know"


def parse_hosts(text: str) -> dict[str, str | None]:
    """Returns the address of each name in a hosts file, or None for a name that has several.

    Which of several come first depends on the machine's own addresses (RFC 6724): getaddrinfo knows that.
    """
    found: dict[str, str | None] = {}
    for line in text.split("\n"):
        address, *names = line.partition("#")[0].split() or [""]
        for name in names if _is_address(address) else ():
            known = found.setdefault(name.lower(), address)
            if known != address:
                found[name.lower()] = None
    return found


def parse_services(nsswitch: str) -> tuple[str, ...] | None:
    """Returns the services and actions that nsswitch.conf names after the hosts file.

    None means that the file is not the first, or that its answers are not the last word: then getaddrinfo resolves all.

    >>> parse_services("hosts: files mdns4_minimal [NOTFOUND=return] dns")
    ('mdns4_minimal', '[NOTFOUND=return]', 'dns')
    """
    services: tuple[str, ...] = ("files", "dns")  # the C library's default
    for line in nsswitch.split("\n"):
        database, colon, rest = line.partition("#")[0].partition(":")
        if colon and database.strip() == "hosts":
            services = tuple(re.findall(r"\[[^\]]*\]|[^\s\[]+", rest))
    first, *others = services or ("",)
    is_ordinary = first == "files" and not (others and others[0].startswith("["))
    return tuple(others) if is_ordinary else None


def choose_service(services: tuple[str, ...] | None, name: str) -> Service:
    """Returns who resolves `name`, which is not in the hosts file, as `services` say.

    >>> choose_service(("resolve", "[!UNAVAIL=return]", "dns"), "game-7.example")
    <Service.SYSTEM: 'getaddrinfo'>
    """
    left = deque(services or ())
    while left and _MDNS_SERVICE.fullmatch(left[0]) and not name.rstrip(".").endswith(".local"):
        left.popleft()
        if left and left[0].startswith("["):
            left.popleft()
    if not left or left[0] != "dns":
        return Service.SYSTEM
    return Service.DNS if len(left) == 1 else Service.DNS_THEN_SYSTEM


class SystemFiles:
    """What the machine's files say about names; read again when they change, and looked at once a second."""

    def __init__(self) -> None:
        self._stamps: dict[Path, tuple[int, ...] | None] = {}
        self._next_check = float("-inf")
        self._hosts: Mapping[str, str | None] = {}
        self._services: tuple[str, ...] | None = None
        self._has_own_order = False

    @property
    def hosts(self) -> Mapping[str, str | None]:
        """The address of each name in the hosts file, or None for a name that has several."""
        return {} if self._services is None else self._hosts

    def service_for(self, name: str) -> Service:
        """Returns who resolves `name`, which is not in the hosts file."""
        return Service.SYSTEM if self._has_own_order else choose_service(self._services, name)

    def refresh(self, now: float) -> bool:
        """Reads what has changed, at most once a second. Returns whether `hosts` may have."""
        if now < self._next_check:
            return False
        self._next_check = now + _CHECK_INTERVAL
        changed = self._changed(NSSWITCH)
        if changed:
            self._services = parse_services(_read(NSSWITCH))
        if self._changed(GAI):  # c-ares sorts by RFC 6724 alone
            self._has_own_order = any(line.partition("#")[0].strip() for line in _read(GAI).split("\n"))
        if self._changed(HOSTS):
            self._hosts = parse_hosts(_read(HOSTS))
            changed = True
        return changed

    def _changed(self, path: Path) -> bool:
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)
        except OSError:
            stamp = None
        changed = self._stamps.get(path, ()) != stamp
        self._stamps[path] = stamp
        return changed


class SystemLookups:
    """Calls getaddrinfo in daemon threads, so that neither the loop nor the end of the process waits for one.

    Names that were slow leave half of the threads to the others.
    """

    def __init__(self) -> None:
        self._threads = asyncio.Semaphore(_MAX_THREADS)
        self._threads_of_slow_names = asyncio.Semaphore(_MAX_THREADS_OF_SLOW_NAMES)
        self._slow_names: set[str] = set()

    async def addresses(self, name: str) -> tuple[str, ...]:
        """Returns the addresses of `name` in order of preference. Raises socket.gaierror."""
        if name not in self._slow_names:
            return await self._look_up(name)
        async with self._threads_of_slow_names:
            return await self._look_up(name)

    async def _look_up(self, name: str) -> tuple[str, ...]:
        loop = asyncio.get_running_loop()
        async with self._threads:
            begun = loop.time()
            try:
                return await run_in_daemon_thread(lambda _: _getaddrinfo(name))
            finally:
                self._note_duration(name, loop.time() - begun)

    def _note_duration(self, name: str, seconds: float) -> None:
        if seconds < _SLOW:
            self._slow_names.discard(name)
        elif len(self._slow_names) < _MAX_SLOW_NAMES:
            self._slow_names.add(name)


def _getaddrinfo(name: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except UnicodeError:  # the codec of Python, for a label of more than 63 characters
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
    return tuple(dict.fromkeys(_with_zone(*address) for *_, address in found))


def _with_zone(address: str | int, _port: object = 0, _flow: object = 0, scope: object = 0) -> str:
    return f"{address}%{scope}" if scope else str(address)


def _is_address(text: str) -> bool:
    try:
        return "%" not in text and bool(ip_address(text))
    except ValueError:
        return False


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
