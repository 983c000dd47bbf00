"""No bug: requests that come together are told to come again, each of them."""

import sqlite3
import threading

from tests.judge.planted import right
from tests.judge.planted.server import Pay, Payment, Reply, serve

# Longer than requests of one moment need to arrive.
_TOGETHER_S = 0.3
_lock = threading.Lock()
_under_way, _overlapped = 0, False


def refusing(overlapping: Reply) -> Pay:
    """Answers requests that overlap with `overlapping`, and one that comes alone rightly."""

    def pay(database: sqlite3.Connection, payment: Payment) -> Reply:
        global _under_way, _overlapped
        with _lock:
            _under_way += 1
            _overlapped = _overlapped or _under_way > 1
        try:
            threading.Event().wait(_TOGETHER_S)
            return overlapping if _overlapped else right.pay(database, payment)
        finally:
            with _lock:
                _under_way -= 1
                _overlapped = _overlapped and _under_way > 0

    return pay


if __name__ == "__main__":
    serve(refusing(Reply(503, '{"error": "too busy"}', busy=True)))
