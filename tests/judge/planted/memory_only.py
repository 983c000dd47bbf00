"""The bug: keys live in the memory of the process."""

import sqlite3
import threading

from tests.judge.planted.server import Payment, Reply, replayed, serve, withdraw

_lock = threading.Lock()
_keys: dict[str, tuple[str, Reply]] = {}


def pay(database: sqlite3.Connection, payment: Payment) -> Reply:
    with _lock:
        known = _keys.get(payment.scoped)
        if known is not None:
            return replayed(known, payment)
        reply = withdraw(database, payment)
        _keys[payment.scoped] = (payment.fingerprint, reply)
        return reply


if __name__ == "__main__":
    serve(pay)
