"""The HTML pages behind the `type` URLs.

Guarantee: a page exists for exactly the types of the catalogue; everything on it is escaped.
"""

from html import escape

from service_kit.problem_details.problem import ProblemCatalogue, ProblemType

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>:root{{color-scheme:light dark}}body{{font:1rem/1.6 system-ui,sans-serif;max-width:42rem;margin:3rem auto;
padding:0 1rem}}code{{font-size:.95em}}</style></head>
<body><h1>{title}</h1>{body}</body></html>
"""


def problem_page(catalogue: ProblemCatalogue, kind: ProblemType) -> str:
    """The page of one problem type."""
    retention = f"<p>{escape(catalogue.retention)}</p>" if catalogue.retention else ""
    return _PAGE.format(
        title=escape(kind.title),
        body=(
            f"<p><code>{escape(kind.slug)}</code>, HTTP status {kind.status}</p>"
            f'<p>{escape(kind.explanation)}</p>{retention}<p><a href="./">All problems</a></p>'
        ),
    )


def index_page(catalogue: ProblemCatalogue) -> str:
    """The list of all problem types."""
    rows = "".join(
        f'<li><a href="{escape(kind.slug)}">{escape(kind.title)}</a> ({kind.status})</li>'
        for kind in catalogue.types.values()
    )
    retention = f"<p>{escape(catalogue.retention)}</p>" if catalogue.retention else ""
    return _PAGE.format(title="Problems", body=f"{retention}<ul>{rows}</ul>")
