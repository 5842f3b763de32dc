"""Ports for servers that need one before they start, and keep it when they are killed and started again."""

from __future__ import annotations

import socket


def free_port(host: str = "127.0.0.1") -> int:
    """Returns a port of `host` that the kernel chose, reserved until this process ends.

    A socket stays bound to it and never listens. So the kernel gives the port to no other process and to no outgoing
    connection, while a server that sets SO_REUSEADDR, as all of ours do, can listen on it again and again.
    """
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind((host, 0))
    port: int = reservation.getsockname()[1]
    reservation.detach()  # the descriptor stays open, and the port reserved
    return port
