"""The bug: a key is executed again when its life is over. Some services declare just that."""

import sqlite3
import time

from tests.judge.planted import right
from tests.judge.planted.server import Payment, Reply, serve

LIFE_S = 1.0


def pay(database: sqlite3.Connection, payment: Payment) -> Reply:
    now_s = time.time()
    database.execute("DELETE FROM keys WHERE started_s < ?", (now_s - LIFE_S,))
    reply = right.pay(database, payment)
    database.execute("UPDATE keys SET started_s = ? WHERE started_s IS NULL", (now_s,))
    return reply


if __name__ == "__main__":
    serve(pay)
