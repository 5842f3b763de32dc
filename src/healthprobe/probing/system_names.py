"""The system's own ways to resolve a name: its hosts file, the order that nsswitch.conf gives, and getaddrinfo."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from collections import deque
from collections.abc import Iterable, Mapping
from enum import Enum
from ipaddress import ip_address
from pathlib import Path

from healthprobe._util.threads import run_in_daemon_thread
from healthprobe.probing.errors import OwnFault

HOSTS = Path("/etc/hosts")
NSSWITCH = Path("/etc/nsswitch.conf")
GAI = Path("/etc/gai.conf")
RESOLV = Path("/etc/resolv.conf")

_CHECK_INTERVAL = 1.0
"""How often to see whether one of the files has changed, in seconds."""

_MAX_THREADS = 512
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
        self._stamps: Mapping[Path, tuple[int, ...] | None] = {}
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
        """Reads what has changed, at most once a second, and returns whether anything has.

        Raises OSError if descriptors are so short that they cannot be read for the first time.
        """
        if now < self._next_check:
            return False
        found = {path: _stamp(path) for path in (HOSTS, NSSWITCH, GAI, RESOLV)}
        changed = {path for path in found if path not in self._stamps or self._stamps[path] != found[path]}
        try:
            texts = {path: _read(path) for path in changed}
        except OSError:
            if self._stamps:
                return False  # the next call tries again
            raise
        if NSSWITCH in texts:
            self._services = parse_services(texts[NSSWITCH])
        if GAI in texts:  # c-ares sorts by RFC 6724 alone
            self._has_own_order = any(line.partition("#")[0].strip() for line in texts[GAI].split("\n"))
        if HOSTS in texts:
            self._hosts = parse_hosts(texts[HOSTS])
        self._stamps = found
        self._next_check = now + _CHECK_INTERVAL
        return bool(changed)


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
    """Returns the content of a file, empty if it cannot be read. Raises OSError where descriptors run short."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE}:
            raise
        return ""


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Returns what changes whenever a file does, or None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev


def raise_if_out_of_descriptors() -> None:
    """Raises OSError if no socket can be opened: a look-up that failed says nothing of the name then."""
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()


def raise_if_unreachable(name_servers: Iterable[str]) -> None:
    """Raises OwnFault if this machine has no route to any of its name servers, or OSError if it is out of sockets."""
    for server in name_servers:
        address = server[1:].partition("]")[0] if server.startswith("[") else server
        if address.count(":") == 1:
            address = address.partition(":")[0]
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as asked:
            try:
                asked.connect((address, 53))
            except OSError:
                continue
            return
    raise OwnFault("the prober has no route to its name servers")
