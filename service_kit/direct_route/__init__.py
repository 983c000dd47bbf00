"""Routes whose endpoint reads its request itself: documented like every other one of FastAPI, at a third of the time.

Guarantee: a body that FastAPI would refuse is refused, by the same exceptions, so the same handlers answer, and so is one that
could be read in two ways; an endpoint that asks for more than its request cannot be registered, so nothing that it relies
on is left out silently.
"""

from service_kit.direct_route.api import DirectAPI
from service_kit.direct_route.route import DirectRoute, documented_body, read_body

__all__ = ["DirectAPI", "DirectRoute", "documented_body", "read_body"]
