"""The bug: the effect is committed before the key. A lock keeps twins apart, but not a crash."""

import sqlite3
import threading

from tests.judge.planted.server import (
    Payment,
    Reply,
    replayed,
    serve,
    store,
    stored,
    withdraw,
    work,
)

_lock = threading.Lock()


def pay(database: sqlite3.Connection, payment: Payment) -> Reply:
    with _lock:
        known = stored(database, payment.scoped)
        if known is not None:
            return replayed(known, payment)
        reply = withdraw(database, payment)
        work()
        store(database, payment.scoped, payment.fingerprint, reply)
        return reply


if __name__ == "__main__":
    serve(pay)
