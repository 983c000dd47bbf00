"""Adds the front page and the page of operations to a FastAPI application.

Guarantee: links are relative, so they work under every name of the service and behind a prefix; what is shown comes from the
application's own OpenAPI document.
"""

from collections.abc import Callable, Coroutine
from html import escape
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse, Response

from service_kit.pages.document import html, policy

# Swagger UI, as the package fastapi-swagger brings it along. Its own page is not used: it needs an inline script.
_ASSETS = files("fastapi_swagger") / "resources"
_SCRIPT, _STYLE = "swagger-ui-bundle.js", "swagger-ui.css"
# Without a validator: Swagger UI would send the document's address to a server on the internet.
_START = """SwaggerUIBundle({url: "openapi.json", dom_id: "#operations", deepLinking: true, validatorUrl: null});
"""
_OPERATIONS = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,"><title>{{title}}</title><link rel="stylesheet" href="docs/{_STYLE}"></head>
<body><main id="operations"></main><script src="docs/{_SCRIPT}"></script><script src="docs/start.js"></script></body></html>
"""
# Swagger UI sets styles of single elements by its script, which the policy for style sheets does not touch; its icons are data.
_POLICY = policy(
    script_src="'self'", style_src="'self'", img_src="'self' data:", connect_src="'self'"
)
# An hour: the files change with a release only, and a browser asks for two megabytes.
_OF_A_FILE = {"Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}
_LINKS = {
    "docs": "every operation, to read and to try",
    "openapi.json": "the same for programs (OpenAPI)",
    "problems/": "every problem that this service answers with, explained",
    "metrics": "its figures, for Prometheus",
    "healthz": "whether this process is up",
    "readyz": "whether it can do its job",
}


def install(app: FastAPI) -> None:
    """Adds `/` and `/docs` with its files. `app` was made with `docs_url=None`, so that FastAPI's page does not come first."""

    @app.get("/", include_in_schema=False)
    async def front() -> HTMLResponse:
        return html(app.title, _front(app))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        title = escape(f"{app.title}: operations")
        return HTMLResponse(_OPERATIONS.format(title=title), headers=_POLICY)

    @app.get("/docs/start.js", include_in_schema=False)
    async def start() -> Response:
        return Response(_START, media_type="text/javascript", headers=_OF_A_FILE)

    for name, media_type in ((_SCRIPT, "text/javascript"), (_STYLE, "text/css")):
        app.add_api_route(f"/docs/{name}", _file(name, media_type), include_in_schema=False)


def _file(name: str, media_type: str) -> Callable[[], Coroutine[Any, Any, FileResponse]]:
    path = str(_ASSETS / name)

    async def send() -> FileResponse:
        return FileResponse(path, media_type=media_type, headers=_OF_A_FILE)

    return send


def _front(app: FastAPI) -> str:
    """What the service is, its operations, and where to go from here."""
    operations = "".join(
        f"<li><code>{method.upper()} {escape(path)}</code> {escape(operation['summary'])}</li>"
        for path, item in app.openapi()["paths"].items()
        for method, operation in item.items()
        if "operation" not in operation.get("tags", ())
    )
    links = "".join(
        f'<li><a href="{path}">/{path}</a>: {explanation}</li>'
        for path, explanation in _LINKS.items()
    )
    return (
        f"<p>{escape(app.description)}</p><ul>{operations}</ul><h2>From here</h2><ul>{links}</ul>"
    )
