"""Tunes Python's garbage collector for a server.

Guarantee: garbage in cycles is still collected; only objects that exist when the server starts are exempt.
"""

import functools
import gc

__all__ = ["spare_the_program"]

# Net allocations before a collection of the youngest generation: the objects of dozens of concurrent requests, most of which
# reference counting frees. Python's default of 700 is less than two requests allocate.
_YOUNGEST = 10_000


@functools.cache
def spare_the_program() -> None:
    """Exempts all existing objects from later collections. Call it when the service is ready; a second call does nothing.

    Modules, routes and models are some hundred thousand objects that never become garbage, and requests wait while a
    collection traverses them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNGEST)
