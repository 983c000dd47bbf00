"""Signals in the first second of a command, while its modules are imported.

Guarantee: Ctrl-C ends the process at once and without a traceback. This module imports next to nothing, because it comes first.
"""

import signal


def end_at_once() -> None:
    """Until the command handles signals, one ends the process: nothing was started yet that would have to be stopped.

    The Makefile holds Ctrl-C back while the interpreter starts; here it is let through.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
