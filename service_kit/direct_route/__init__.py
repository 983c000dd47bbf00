"""Routes whose endpoint reads its request itself, and which are documented like any other FastAPI route.

Guarantee: a body that FastAPI would refuse is refused with the same exceptions, so the same handlers answer; an ambiguous
body is refused too; an endpoint with parameters other than its request cannot be registered, so no dependency is skipped
silently.
"""

from service_kit.direct_route.route import DirectRoute, documented_body, read_body
from service_kit.direct_route.served import application, served

__all__ = ["DirectRoute", "application", "documented_body", "read_body", "served"]
