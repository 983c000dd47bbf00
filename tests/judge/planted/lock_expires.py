"""The bug: the mark of a request in progress has a lifetime, and the handler takes longer."""

import sqlite3
import time

from tests.judge.planted.server import (
    IN_FLIGHT,
    Payment,
    Reply,
    begin,
    replayed,
    serve,
    store,
    stored,
    withdraw,
    work,
)

HANDLER_S = 0.8
_LIFETIME_S = 0.3


def pay(database: sqlite3.Connection, payment: Payment) -> Reply:
    begin(database)
    known = stored(database, payment.scoped)
    if known is not None and (known[1] is not None or not _expired(database, payment)):
        database.execute("COMMIT")
        return replayed(known, payment) if known[1] else IN_FLIGHT
    sql = "INSERT OR REPLACE INTO keys (key, fingerprint, started_s) VALUES (?, ?, ?)"
    database.execute(sql, (payment.scoped, payment.fingerprint, time.time()))
    database.execute("COMMIT")
    work(HANDLER_S)
    begin(database)
    reply = withdraw(database, payment)
    store(database, payment.scoped, payment.fingerprint, reply)
    database.execute("COMMIT")
    return reply


def _expired(database: sqlite3.Connection, payment: Payment) -> bool:
    sql = "SELECT started_s FROM keys WHERE key = ?"
    (started_s,) = database.execute(sql, (payment.scoped,)).fetchone()
    return bool(time.time() - started_s > _LIFETIME_S)


if __name__ == "__main__":
    serve(pay)
