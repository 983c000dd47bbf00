"""The bug: a replay is answered equally, and the money moves again."""

import sqlite3

from tests.judge.planted import right
from tests.judge.planted.server import Payment, Reply, serve, stored, withdraw


def pay(database: sqlite3.Connection, payment: Payment) -> Reply:
    known = stored(database, payment.scoped)
    if known is not None and known[0] == payment.fingerprint:
        withdraw(database, payment)
    return right.pay(database, payment)


if __name__ == "__main__":
    serve(pay)
