"""The bug: at its start, the service answers what a crash has interrupted: with an error, for ever."""

import sqlite3

from tests.judge.planted.server import serve
from tests.judge.planted.stranded import pay


def started(database: sqlite3.Connection) -> None:
    error = '{"error": "interrupted"}'
    database.execute("UPDATE keys SET status = 500, body = ? WHERE status IS NULL", (error,))


if __name__ == "__main__":
    serve(pay, started=started)
