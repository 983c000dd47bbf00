"""Adds problem answers and their pages to a FastAPI application.

Guarantee: validation errors, unknown paths, wrong methods and defects are answered with problems too; no answer contains a
traceback or repeats more of the caller's input than the names of fields.
"""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from service_kit.problem_details.pages import index_page, problem_page
from service_kit.problem_details.problem import (
    MEDIA_TYPE,
    Problem,
    ProblemCatalogue,
    ProblemType,
    ServerRefusal,
)

VALIDATION = ProblemType(
    "validation",
    422,
    "The request does not have the documented form",
    "A field is missing, unknown, of the wrong type or out of range; `errors` names each one. "
    "Nothing was executed. Correct the request before sending it again.",
)
BODY_UNREADABLE = ProblemType(
    "body-unreadable",
    400,
    "The request body could not be read",
    "The body is incomplete or cannot be parsed. Nothing was executed.",
)
BODY_TOO_LARGE = ProblemType(
    "body-too-large",
    413,
    "The request body is too large",
    "A body may have at most 64 KiB. Nothing was executed.",
)
MEDIA_TYPE_UNSUPPORTED = ProblemType(
    "media-type-unsupported",
    415,
    "The body has an unsupported media type or coding",
    "A body must be application/json in UTF-8, without a content coding (no gzip). This answer has the header Accept when "
    "the media type was wrong, and Accept-Encoding when the coding was. Nothing was executed.",
)
HOST_UNKNOWN = ProblemType(
    "host-unknown",
    421,
    "The Host header does not name this service",
    "The Host header must be a loopback name, the host of the service's public URL, or one of the hosts in its settings. "
    "Nothing was executed.",
)
ORIGIN_FOREIGN = ProblemType(
    "origin-foreign",
    403,
    "A page of another site may not do this",
    "A browser sent this request for a page of another origin (the headers Origin and Sec-Fetch-Site say so). "
    "Nothing was executed.",
)
NOT_FOUND = ProblemType("not-found", 404, "There is nothing here", "No resource has this URL.")
METHOD_NOT_ALLOWED = ProblemType(
    "method-not-allowed",
    405,
    "This method is not allowed here",
    "The resource exists; the `Allow` header lists its methods.",
)
INTERNAL = ProblemType(
    "internal",
    500,
    "A defect of the service",
    "The service failed unexpectedly. Whether the request was executed is unknown: "
    "send it again with the same key.",
)
_BUILT_IN = (
    VALIDATION,
    BODY_UNREADABLE,
    BODY_TOO_LARGE,
    MEDIA_TYPE_UNSUPPORTED,
    HOST_UNKNOWN,
    ORIGIN_FOREIGN,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    INTERNAL,
)
_BY_STATUS = {kind.status: kind for kind in _BUILT_IN}

# RFC 9457, section 3.1.
_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}

# A body of 64 KiB can hold thousands of unknown fields; the answer names the first few.
_ERRORS_LISTED_MAX = 20

# Problems with these statuses link to their documentation, as draft-ietf-httpapi-idempotency-key-header asks.
_DESCRIBED = frozenset({400, 409, 410, 422})


def install(
    app: FastAPI, catalogue: ProblemCatalogue, of_the_server: Iterable[ServerRefusal] = ()
) -> ProblemCatalogue:
    """Adds handlers and pages to `app`; returns the catalogue with the built-in types added.

    `of_the_server` are problems with which the server answers instead of the application. They get pages, and every
    operation of the OpenAPI document lists them.
    """
    refusals = [
        ProblemType(each.slug, each.status, each.title, each.explanation) for each in of_the_server
    ]
    whole = ProblemCatalogue.of(
        [*catalogue.types.values(), *_BUILT_IN, *refusals],
        public_url=catalogue.public_url,
        retention=catalogue.retention,
    )
    if refusals:
        _document_everywhere(app, refusals)

    async def on_problem(_: Request, exc: Exception) -> Response:
        return answer(whole, cast(Problem, exc))

    async def on_validation(_: Request, exc: Exception) -> Response:
        return answer(whole, _validation_problem(cast(RequestValidationError, exc).errors()))

    async def on_http(request: Request, exc: Exception) -> Response:
        http = cast(HTTPException, exc)
        kind = _BY_STATUS.get(http.status_code, INTERNAL)
        headers = dict(http.headers or {})
        if kind is METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(_methods(app, request))
        return answer(whole, Problem(kind, str(http.detail), headers=headers))

    async def on_bug(_: Request, exc: Exception) -> Response:
        return answer(whole, Problem(INTERNAL, "The service failed; its log has the reason."))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_bug)

    @app.get("/problems/", include_in_schema=False)
    async def problems() -> HTMLResponse:
        return index_page(whole)

    @app.get("/problems/{slug}", include_in_schema=False)
    async def problem(slug: str) -> HTMLResponse:
        kind = whole.types.get(slug)
        if kind is None:
            raise Problem(NOT_FOUND, "There is no problem type of this name.")
        return problem_page(whole, kind)

    return whole


def answer(catalogue: ProblemCatalogue, problem: Problem) -> Response:
    """The response for one problem, with a `Link` to its page where the draft asks for one."""
    headers = dict(problem.headers)
    if problem.kind.status in _DESCRIBED:
        headers["Link"] = f'<{catalogue.url(problem.kind)}>; rel="describedby"'
    return Response(
        catalogue.render(problem),
        status_code=problem.kind.status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def documented(*kinds: ProblemType) -> dict[int | str, dict[str, Any]]:
    """The entries of an OpenAPI operation for the problems that it may answer."""
    slugs: dict[int, list[str]] = {}
    for kind in kinds:
        slugs.setdefault(kind.status, []).append(kind.slug)
    return {
        status: {
            "description": "Problem: " + " or ".join(names),
            "content": {MEDIA_TYPE: {"schema": _SCHEMA}},
        }
        for status, names in slugs.items()
    }


def _methods(app: FastAPI, request: Request) -> list[str]:
    """The methods of the request's path. Starlette would name only those of the first route, without HEAD."""
    methods = {
        method
        for route in app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def _document_everywhere(app: FastAPI, kinds: Sequence[ProblemType]) -> None:
    """Adds the problems to every operation of the OpenAPI document, also next to others with the same status."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        for operations in document["paths"].values():
            for operation in operations.values():
                for kind in kinds:
                    _add(operation["responses"], kind)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _add(responses: dict[str, Any], kind: ProblemType) -> None:
    ((status, response),) = documented(kind).items()
    described = responses.setdefault(str(status), response)
    words, _, slugs = described["description"].partition("Problem: ")
    if words:
        # The operation documents another answer with this status, which is not a problem.
        return
    if kind.slug not in slugs.split(" or "):
        described["description"] += f" or {kind.slug}"


def _validation_problem(errors: Sequence[Any]) -> Problem:
    if any(error["type"] == "json_invalid" for error in errors):
        return Problem(VALIDATION, "The body is not valid JSON.", errors=[])
    listed = [
        {"field": ".".join(str(part) for part in error["loc"]), "message": error["msg"]}
        for error in errors[:_ERRORS_LISTED_MAX]
    ]
    fields = ", ".join(row["field"] for row in listed)
    return Problem(VALIDATION, f"Not as documented: {fields}.", errors=listed)
