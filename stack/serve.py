"""Runs one ASGI factory on sockets that the parent process has opened: `python -m stack.serve MODULE:FACTORY FD…`.

Guarantee: the service answers as under `uvicorn MODULE:FACTORY --factory --http service_kit.http_guard:GuardedProtocol
--no-server-header`; only its sockets are inherited, and no others are open.
"""

import argparse
import os
import socket
import sys

import uvicorn

# A request in flight may wait for a lock and a slow database; then it is over or it was hopeless.
GRACE_S = 10


def main() -> None:
    """Serves until SIGTERM, then finishes what is in flight."""
    parser = argparse.ArgumentParser(prog="python -m stack.serve", description=__doc__)
    parser.add_argument("factory", help="MODULE:FACTORY of an ASGI application")
    parser.add_argument("fds", nargs="+", type=int, help="inherited listening sockets")
    options = parser.parse_args()
    sys.path.insert(0, os.getcwd())
    listeners = [socket.socket(fileno=fd) for fd in options.fds]
    server = uvicorn.Server(
        uvicorn.Config(
            options.factory,
            factory=True,
            http="service_kit.http_guard:GuardedProtocol",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    server.run(sockets=listeners)
    if not server.started:
        sys.exit(3)


if __name__ == "__main__":
    main()
