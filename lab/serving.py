"""Serves the lab until a signal stops it.

Guarantee: the address is printed when the page can be used; a second lab in the same folder says where the first one is.
"""

import argparse
import contextlib
import json
import os
import secrets
import socket
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console

from lab import containers, opening
from lab.app import create
from lab.play import Play
from lab.server import served
from stack import credentials, ports, run_directory
from stack.processes import StackError
from stack.up import say

PORT_VARIABLE = "LAB_PORT"
PORT = 8000
DESCRIPTION = "lab.json"


async def serve(options: argparse.Namespace, console: Console) -> int:
    """The lab, until Ctrl-C."""
    _refuse_second(options.run_dir)
    usual = not options.own_ports
    async with AsyncExitStack() as exit_stack:
        listener = exit_stack.enter_context(
            ports.listen(PORT_VARIABLE, PORT if usual else None, options.host)
        )
        opened = (
            containers.opened(options.run_dir)
            if options.containers
            else opening.opened(options.run_dir, say(console), usual_ports=usual)
        )
        setup = await exit_stack.enter_async_context(opened)
        play = await exit_stack.enter_async_context(Play(setup))
        app = create(play, secrets.token_urlsafe(24))
        # Open pages keep a stream: without its end the server would wait for them.
        await exit_stack.enter_async_context(served(app, listener, play.history.close))
        # Under 0.0.0.0 it is asked by its loopback name all the same.
        url = f"http://{ports.LOOPBACK}:{ports.port_of(listener)}"
        exit_stack.enter_context(_described(options.run_dir, url))
        _announce(console, url, setup.services.moved, listener)
        if not options.no_browser:
            _open_browser(url)
        await setup.services.serve_until_stopped()
    return 0


def _refuse_second(run_dir: Path) -> None:
    pid = run_directory.user(run_dir)
    if pid is None:
        return
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads((run_dir / DESCRIPTION).read_text(encoding="utf-8"))
        if str(found["pid"]) == pid:
            raise StackError(f"the lab runs already at {found['url']} (process {pid}).")
    raise StackError(f"a stack runs already in {run_dir} (process {pid}); stop it first.")


@contextlib.contextmanager
def _described(run_dir: Path, url: str) -> Iterator[None]:
    path = run_dir / DESCRIPTION
    credentials.write_private(path, json.dumps({"url": url, "pid": os.getpid()}) + "\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _announce(console: Console, url: str, moved: list[str], listener: socket.socket) -> None:
    usual = ports.port_of(listener) == PORT or ports.named_port(PORT_VARIABLE) is not None
    if moved and not usual:
        moved = [*moved, f"Port {PORT} is taken by another program: the lab is at {url} instead."]
    for sentence in moved:
        console.print(sentence, style="bold yellow", highlight=False, soft_wrap=True)
    console.print(f"The lab is at [bold]{url}[/bold]. Ctrl-C ends it.", highlight=False)


def _open_browser(url: str) -> None:
    """Where there is a desktop: never a browser in a terminal, which would take it over."""
    desktop = sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if desktop and sys.stdout.isatty():
        webbrowser.open(url)
