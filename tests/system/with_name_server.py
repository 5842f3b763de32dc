"""`healthprobe` with a name server of the test's own: `python -P with_name_server.py PORT run --records …`.

The machine's name servers are left alone. An answer is cached for half a second, so that no test waits for five.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import aiodns

from healthprobe.cli.main import main
from healthprobe.probing import resolver


def command_at(port: int) -> tuple[str, ...]:
    """What runs the program so that it asks for names on this port of loopback."""
    return (sys.executable, "-P", str(Path(__file__)), str(port))


def install(port: int) -> None:
    """From now on resolvers of this process ask there."""
    assert resolver._MIN_TTL > 0.5
    resolver._MIN_TTL = 0.5
    aiodns.DNSResolver = functools.partial(  # type: ignore[misc, assignment]  # a class, and what makes one like it
        aiodns.DNSResolver, nameservers=["127.0.0.1"], udp_port=port, domains=[]
    )


if __name__ == "__main__":
    install(int(sys.argv.pop(1)))
    main()
