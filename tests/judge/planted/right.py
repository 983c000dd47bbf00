"""No bug: key, effect and answer are committed together, before the answer."""

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
    try:
        known = stored(database, payment.scoped)
        if known is not None:
            return replayed(known, payment)
        work()
        reply = withdraw(database, payment)
        store(database, payment.scoped, payment.fingerprint, reply)
        database.execute("COMMIT")
        return reply
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")


if __name__ == "__main__":
    serve(pay)
