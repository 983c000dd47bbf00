"""No bug: two processes serve one socket, and one of them may die."""

import os
import signal

from tests.judge.planted.right import pay
from tests.judge.planted.server import serve

if __name__ == "__main__":
    # The second one begins when the socket is there; the system gives each connection to one of them.
    serve(
        pay, listening=lambda: None if os.fork() else signal.signal(signal.SIGTERM, signal.SIG_DFL)
    )
