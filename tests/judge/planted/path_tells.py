"""The bug: a key that was used on another path is refused with the answer that it was given there."""

import sqlite3

from tests.judge.planted import right
from tests.judge.planted.server import Payment, Reply, serve, stored


def pay(database: sqlite3.Connection, payment: Payment) -> Reply:
    known = stored(database, payment.scoped)
    if payment.path != "/payments" and known is not None and known[1] is not None:
        return Reply(422, known[1].body)
    return right.pay(database, payment)


if __name__ == "__main__":
    serve(pay)
