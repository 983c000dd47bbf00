"""Python's garbage collector, told what a server is like.

Guarantee: cycles are still collected, so memory stays bounded; only what lives as long as the process is not looked at again
and again.
"""

import functools
import gc

__all__ = ["spare_the_program"]

# Objects that are made and not freed before the youngest are looked at: those of dozens of requests under way, of which most
# go by themselves. Python's default is 700, fewer than two of them have.
_YOUNGEST = 10_000


@functools.cache
def spare_the_program() -> None:
    """Takes all that is there now out of every later collection; once a process, when the service is ready.

    Modules, routes and models are some hundred thousand objects that never become garbage, and every request waits while
    they are looked at.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNGEST)
