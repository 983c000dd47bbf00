"""The bug: the key is looked up first and written later."""

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
    known = stored(database, payment.scoped)
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
