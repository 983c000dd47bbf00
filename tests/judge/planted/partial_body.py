"""The bug: what has come of a cut request is fingerprinted, and its refusal stored."""

import hashlib
import sqlite3

from tests.judge.planted.right import pay
from tests.judge.planted.server import Reply, serve, store


def partial(database: sqlite3.Connection, caller: str, key: str, content: bytes) -> None:
    fingerprint = hashlib.sha256(content).hexdigest()
    store(database, f"{caller} {key}", fingerprint, Reply(422, '{"error": "no payment"}'))


if __name__ == "__main__":
    serve(pay, partial)
