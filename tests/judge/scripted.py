"""A service in one process whose answers a test scripts: for what goes wrong before anything can be judged."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Scripted:
    """Counts POSTs; `reading` makes what the probe gets of the count, `status` is that of every POST."""

    def __init__(self, reading: Callable[[int], Any], status: int) -> None:
        self.reading = reading
        self.status = status
        self.posts = 0
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def scripted(
    reading: Callable[[int], Any] = lambda posts: {"n": posts}, status: int = 201
) -> Iterator[Scripted]:
    """Serves for the length of a block."""
    service = Scripted(reading, status)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, json.dumps(service.reading(service.posts)))

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            service.posts += 1
            self._answer(service.status, "{}")

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
