"""The bug: a known key is replayed whatever the payload is."""

import sqlite3
from dataclasses import replace

from tests.judge.planted import right
from tests.judge.planted.server import Payment, Reply, begin, serve, stored


def pay(database: sqlite3.Connection, payment: Payment) -> Reply:
    begin(database)
    known = stored(database, payment.scoped)
    database.execute("COMMIT")
    if known is not None and known[1] is not None:
        return known[1]
    return right.pay(database, replace(payment))


if __name__ == "__main__":
    serve(pay)
