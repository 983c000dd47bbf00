"""Addresses of the stack: the usual ports when they are free, others when they are taken.

Guarantee: a port that the user named is used or refused with one sentence, never silently replaced; the sockets of the
services are opened here, before the services start, so no other program can take them in between.
"""

import os
import socket
from contextlib import ExitStack

from stack.processes import StackError

LOOPBACK = "127.0.0.1"
# Connections that wait while a service is busy or restarts; the kernel's own limit is lower or equal.
BACKLOG = 1024


def listen(variable: str, usual: int | None, host: str = LOOPBACK) -> socket.socket:
    """A listening socket, on the loopback address unless told otherwise.

    The port is that of the environment variable, else the usual one, else a free one. Several processes can accept from
    it (as under systemd's socket activation), and it outlives each of them.
    """
    named = named_port(variable)
    for port in (named,) if named is not None else (usual, 0):
        if port is None:
            continue
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except OSError as exc:
            listener.close()
            if named is not None:
                raise StackError(
                    f"{variable}={named}: the port cannot be used: {exc.strerror}."
                ) from exc
            continue
        return listener
    raise StackError("there is no free port on the loopback address.")


def choose(variable: str, usual: int | None) -> int:
    """A port for a server that opens it itself."""
    with listen(variable, usual) as probe:
        return port_of(probe)


def choose_several(count: int) -> list[int]:
    """Free ports for servers that open them themselves: each another one. One after the other, two could be the same."""
    with ExitStack() as held:
        return [port_of(held.enter_context(listen("", None))) for _ in range(count)]


def named_port(variable: str) -> int | None:
    """The port that the user set by an environment variable."""
    text = os.environ.get(variable, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise StackError(f"{variable}={text}: a port is a number from 1 to 65535.")
    return int(text)


def port_of(listener: socket.socket) -> int:
    """The port that a socket is bound to."""
    port: int = listener.getsockname()[1]
    return port


def url_of(listener: socket.socket) -> str:
    """The HTTP URL of a listening socket."""
    return f"http://{LOOPBACK}:{port_of(listener)}"
