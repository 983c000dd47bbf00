"""The bug: the key is not looked at."""

import sqlite3

from tests.judge.planted.server import Payment, Reply, serve, withdraw


def pay(database: sqlite3.Connection, payment: Payment) -> Reply:
    return withdraw(database, payment)


if __name__ == "__main__":
    serve(pay)
