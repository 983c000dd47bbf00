"""What the planted receivers share: HTTP, tokens and SQLite; no protection of any kind.

Run as a script's module: `python -m tests.judge.planted.NAME PORT FILE`.
"""

import hashlib
import json
import sqlite3
import sys
import threading
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_CALLERS = {"Bearer one-token": "one", "Bearer two-token": "two"}
_OPENING = 1_000_000
# What an effect takes outside of the database: a call to a bank.
WORK_S = 0.02
_SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (id TEXT PRIMARY KEY, account TEXT NOT NULL, amount INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY, fingerprint TEXT, status INTEGER, body TEXT, started_s REAL
);
"""


@dataclass(frozen=True)
class Payment:
    """One request that has a key, a known caller and a whole payload."""

    caller: str
    key: str
    content: bytes
    account: str
    amount: int
    path: str

    @property
    def fingerprint(self) -> str:
        """Of the payload."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def scoped(self) -> str:
        """The key within its caller."""
        return f"{self.caller} {self.key}"


@dataclass(frozen=True)
class Reply:
    """A status and a JSON text. `busy` asks the caller to come again."""

    status: int
    body: str
    busy: bool = False


Pay = Callable[[sqlite3.Connection, Payment], Reply]
# The caller, the key and what has come of the body.
Partial = Callable[[sqlite3.Connection, str, str, bytes], None]

REUSED = Reply(422, '{"error": "the key was used with another payload"}')
IN_FLIGHT = Reply(409, '{"error": "in flight"}')


def work(seconds: float = WORK_S) -> None:
    """What takes time."""
    threading.Event().wait(seconds)


def withdraw(database: sqlite3.Connection, payment: Payment) -> Reply:
    """The effect, within the caller's transaction."""
    made = str(uuid.uuid4())
    database.execute(
        "INSERT INTO payments VALUES (?, ?, ?)", (made, payment.account, payment.amount)
    )
    return Reply(
        201, json.dumps({"payment": made, "account": payment.account, "amount": payment.amount})
    )


def stored(database: sqlite3.Connection, key: str) -> tuple[str, Reply | None] | None:
    """The fingerprint and the answer of a known key; without an answer it is in progress."""
    sql = "SELECT fingerprint, status, body FROM keys WHERE key = ?"
    row = database.execute(sql, (key,)).fetchone()
    if row is None:
        return None
    return row[0], None if row[1] is None else Reply(row[1], row[2])


def store(database: sqlite3.Connection, key: str, fingerprint: str, reply: Reply) -> None:
    """The key with its answer."""
    sql = "INSERT OR REPLACE INTO keys (key, fingerprint, status, body) VALUES (?, ?, ?, ?)"
    database.execute(sql, (key, fingerprint, reply.status, reply.body))


def replayed(known: tuple[str, Reply | None], payment: Payment) -> Reply:
    """What a known key is answered."""
    fingerprint, reply = known
    if fingerprint != payment.fingerprint:
        return REUSED
    return reply or IN_FLIGHT


def begin(database: sqlite3.Connection) -> None:
    """A transaction that no other writer shares."""
    database.execute("BEGIN IMMEDIATE")


def serve(
    pay: Pay,
    partial: Partial | None = None,
    started: Callable[[sqlite3.Connection], None] | None = None,
    key_chars_max: int = 255,
    listening: Callable[[], object] = lambda: None,
) -> None:
    """Serves until it is killed.

    `partial` is told of cut requests, `started` of the database before the first one; `listening` is called when connections come.
    """
    port, file = int(sys.argv[1]), sys.argv[2]
    with closing(_connect(file)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(_SCHEMA)
        if started is not None:
            started(database)
    server = _Server(("127.0.0.1", port), _Handler)
    server.pay, server.partial, server.file = pay, partial, file
    server.key_chars_max = key_chars_max
    listening()
    server.serve_forever()


def _connect(file: str) -> sqlite3.Connection:
    return sqlite3.connect(file, timeout=10, isolation_level=None)


class _Server(ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True
    pay: Pay
    partial: Partial | None
    file: str
    key_chars_max: int


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer(Reply(200, "{}"))
            return
        with closing(_connect(self.server.file)) as database:
            account = self.path.rpartition("/")[2]
            sql = "SELECT coalesce(sum(amount), 0) FROM payments WHERE account = ?"
            (paid,) = database.execute(sql, (account,)).fetchone()
        self._answer(Reply(200, json.dumps({"balance": _OPENING - paid})))

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length)
        key = self.headers.get("Idempotency-Key") or ""
        caller = _CALLERS.get(self.headers.get("Authorization") or "", "")
        with closing(_connect(self.server.file)) as database:
            if len(content) < length:
                if self.server.partial is not None:
                    self.server.partial(database, caller, key, content)
                self.close_connection = True
                return
            self._answer(self._paid(database, caller, key, content))

    def _paid(self, database: sqlite3.Connection, caller: str, key: str, content: bytes) -> Reply:
        if not caller:
            return Reply(401, '{"error": "unknown token"}')
        if not key or len(key) > self.server.key_chars_max:
            return Reply(400, '{"error": "Idempotency-Key is missing or too long"}')
        try:
            document: Any = json.loads(content)
            payment = Payment(
                caller,
                key,
                content,
                str(document["account"]),
                int(document["amount"]),
                self.path,
            )
        except (ValueError, KeyError, TypeError):
            return Reply(422, '{"error": "no payment"}')
        return self.server.pay(database, payment)

    def _answer(self, reply: Reply) -> None:
        content = reply.body.encode()
        try:
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            if reply.busy:
                self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Says nothing."""
