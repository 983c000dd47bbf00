"""A receiver in the process of the tests: it does everything rightly, unless a test answers in its place.

It has no crash and no disk; what those show is judged by the planted receivers, which are processes.
"""

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CALLERS = {"Bearer one-token": "one", "Bearer two-token": "two"}
# What an effect takes, so that requests of one moment meet.
WORK_S = 0.05


@dataclass(frozen=True)
class Sent:
    """One whole request. `time` counts the requests with this caller and key, from 1."""

    caller: str
    key: str | None
    path: str
    content: bytes
    time: int


@dataclass(frozen=True)
class Reply:
    """One answer; `body` becomes JSON."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class Receiver:
    """Its `effects` are what a probe reads."""

    def __init__(self) -> None:
        self.effects = 0
        self.port = 0
        self.answer: Answer = Receiver.right
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], tuple[bytes, str, Reply]] = {}
        self._times: dict[tuple[str, str | None], int] = {}

    def right(self, sent: Sent) -> Reply:
        """Key, effect and answer together; the same answer again; a refusal of another payload or path."""
        if not sent.key:
            return Reply(400, {"error": "no key"})
        if len(sent.key) > 255:
            return Reply(400, {"error": "the key is too long"})
        with self._lock:
            known = self._kept.get((sent.caller, sent.key))
            if known is not None:
                content, path, reply = known
                same = (content, path) == (sent.content, sent.path)
                return reply if same else Reply(422, {"error": "the key was used"})
            wait()
            reply = self.executed()
            self._kept[sent.caller, sent.key] = (sent.content, sent.path, reply)
            return reply

    def executed(self) -> Reply:
        """One effect, and its answer."""
        self.effects += 1
        return made()

    def count(self, caller: str, key: str | None) -> int:
        """How often this key has come, this time included."""
        with self._lock:
            self._times[caller, key] = self._times.get((caller, key), 0) + 1
            return self._times[caller, key]


Answer = Callable[[Receiver, Sent], Reply]


def made() -> Reply:
    """The answer to an effect: it names what was made."""
    return Reply(201, {"payment": str(uuid.uuid4())})


def wait(seconds: float = WORK_S) -> None:
    """Work."""
    threading.Event().wait(seconds)


@contextmanager
def running() -> Iterator[Receiver]:
    """Serves for the length of a block."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(Reply(200))

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            content = self.rfile.read(length)
            self.close_connection = True
            caller = CALLERS.get(self.headers.get("Authorization") or "")
            if len(content) < length:
                return
            if caller is None:
                self._send(Reply(401))
                return
            key = self.headers.get("Idempotency-Key")
            sent = Sent(caller, key, self.path, content, receiver.count(caller, key))
            self._send(receiver.answer(receiver, sent))

        def _send(self, reply: Reply) -> None:
            content = json.dumps(dict(reply.body)).encode()
            try:
                self.send_response(reply.status)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Connection", "close")
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                """The caller has gone."""

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 64
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
