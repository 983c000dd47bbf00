"""The bug: the mark of a request in progress is taken away only by the process that set it."""

import sqlite3

from tests.judge.planted.server import (
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


def pay(database: sqlite3.Connection, payment: Payment) -> Reply:
    begin(database)
    known = stored(database, payment.scoped)
    if known is None:
        sql = "INSERT INTO keys (key, fingerprint) VALUES (?, ?)"
        database.execute(sql, (payment.scoped, payment.fingerprint))
    database.execute("COMMIT")
    if known is not None:
        return replayed(known, payment)
    work()
    begin(database)
    reply = withdraw(database, payment)
    store(database, payment.scoped, payment.fingerprint, reply)
    database.execute("COMMIT")
    return reply


if __name__ == "__main__":
    serve(pay)
