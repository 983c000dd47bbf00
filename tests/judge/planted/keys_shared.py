"""The bug: a key belongs to nobody: two callers share it."""

import sqlite3
from dataclasses import replace

from tests.judge.planted import right
from tests.judge.planted.server import Payment, Reply, serve


def pay(database: sqlite3.Connection, payment: Payment) -> Reply:
    return right.pay(database, replace(payment, caller="all"))


if __name__ == "__main__":
    serve(pay)
