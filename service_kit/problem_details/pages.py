"""The HTML pages behind the `type` URLs.

Guarantee: a page exists for exactly the types of the catalogue; everything on it is escaped.
"""

from html import escape

from fastapi.responses import HTMLResponse

from service_kit.pages import html
from service_kit.problem_details.problem import ProblemCatalogue, ProblemType


def problem_page(catalogue: ProblemCatalogue, kind: ProblemType) -> HTMLResponse:
    """The page of one problem type."""
    retention = f"<p>{escape(catalogue.retention)}</p>" if catalogue.retention else ""
    return html(
        kind.title,
        f"<p><code>{escape(kind.slug)}</code>, HTTP status {kind.status}</p>"
        f'<p>{escape(kind.explanation)}</p>{retention}<p><a href="./">All problems</a></p>',
    )


def index_page(catalogue: ProblemCatalogue) -> HTMLResponse:
    """The list of all problem types."""
    rows = "".join(
        f'<li><a href="{escape(kind.slug)}">{escape(kind.title)}</a> ({kind.status})</li>'
        for kind in catalogue.types.values()
    )
    retention = f"<p>{escape(catalogue.retention)}</p>" if catalogue.retention else ""
    return html("Problems", f"{retention}<ul>{rows}</ul>")
