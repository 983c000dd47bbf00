"""Checks the URL of a request whose values are in its path and query.

Guarantee: an undocumented parameter, a parameter given twice, and anything percent-encoded is refused: no value of the
routes that use this needs percent-encoding, so it could only be a second spelling.
"""

from fastapi import Request
from fastapi.exceptions import RequestValidationError


def require_documented_url(request: Request) -> None:
    """A dependency of a route; raises `RequestValidationError`."""
    scope = request.scope
    if b"%" in (scope.get("raw_path") or b""):
        raise _refused("path", "Nothing in this path may be percent-encoded.")
    query: bytes = scope.get("query_string", b"")
    if not query:
        return
    if b"%" in query or b"+" in query:
        raise _refused("query", "Nothing in this query may be percent-encoded.")
    documented = {field.alias for field in scope["route"].dependant.query_params}
    seen: set[str] = set()
    # Split here, because a form parser drops parameters without a value.
    for part in query.decode("latin-1").split("&"):
        name = part.partition("=")[0]
        if name not in documented:
            raise _refused("query", "The query has a parameter that is not documented.")
        if name in seen:
            raise _refused(f"query.{name}", "The parameter is given twice.")
        seen.add(name)


def _refused(field: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"type": "url", "loc": (field,), "msg": message}])
